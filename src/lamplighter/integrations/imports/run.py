"""An import from its files to its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.imports import plain
from lamplighter.integrations.imports.fault import BadRecord
from lamplighter.integrations.imports.importer import Importer, Plan, Told
from lamplighter.integrations.imports.mwap import Mwap
from lamplighter.integrations.imports.report import Report
from lamplighter.integrations.imports.seen import Seen
from lamplighter.integrations.imports.source import Format, Piece, find_format, pieces
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.service import Service
from lamplighter.integrations.tenants import Tenant
from lamplighter.integrations.vault import MwapCipher


class Files(Struct, frozen=True, kw_only=True):
    """What is to be imported. `providers` and `tenants` are MWAP's, and go with its integrations only."""

    integrations: Path
    format: Format
    providers: Path | None = None
    tenants: Path | None = None

    @property
    def size(self) -> int:
        """How many bytes there are to be read. Plain records are read twice, the first time for their tenants."""
        named = [file for file in (self.providers, self.tenants, self.integrations) if file is not None]
        return sum(file.stat().st_size for file in named) * (1 if self.format == "mwap" else 2)


def choose(integrations: Path, said: Format | None, providers: Path | None, tenants: Path | None) -> Files:
    """The files, once they are known to go together; the format is found out if nobody said it. Raises ConfigError."""
    found = said or find_format(integrations)
    if found == "mwap" and providers is None:
        raise ConfigError(
            f"{integrations} names providers by MWAP's ids: give the export of its collection cloudProviders "
            "with --providers."
        )
    if found != "mwap" and (providers or tenants):
        raise ConfigError(f"{integrations} is {found} and names its own providers and tenants: give no others.")
    files = Files(integrations=integrations, format=found, providers=providers, tenants=tenants)
    for file in (integrations, providers, tenants):
        if file is not None:
            find_format(file)  # says what is wrong with one that cannot be read
    return files


async def run(
    files: Files, service: Service, plan: Plan, *, mwap_key: Secret | None, dry_run: bool, told: Told
) -> Report:
    """Import them. Raises ConfigError for a file that cannot be read as a whole; bad records are in the report."""
    with Seen() as seen:
        importer = Importer(service, seen, plan, dry_run=dry_run, told=told)
        if files.format == "mwap":
            await _run_mwap(importer, files, mwap_key)
        else:
            await _run_plain(importer, files)
    return importer.report


async def _run_mwap(importer: Importer, files: Files, key: Secret | None) -> None:
    assert files.providers is not None
    if key is None:
        raise ConfigError("MWAP encrypts its tokens: set mwap_encryption_key to its ENCRYPTION_KEY.")
    mwap = Mwap(MwapCipher(key.reveal()), load_facts())
    slugs = await importer.providers(files.providers, mwap.provider)
    if files.tenants is not None:
        await importer.tenants(files.tenants, pieces(files.tenants), mwap.tenant)
    await importer.integrations(
        files.integrations, pieces(files.integrations), lambda piece: mwap.integration(piece, slugs)
    )


async def _run_plain(importer: Importer, files: Files) -> None:
    records, read = _plain(files)
    await importer.tenants(files.integrations, records, lambda piece: _tenant(read, piece))
    records, read = _plain(files)
    await importer.integrations(files.integrations, records, lambda piece: plain.integration(read(piece)))


def _plain(files: Files) -> tuple[Iterator[Piece], plain.Read]:
    records = pieces(files.integrations)
    return records, plain.csv_reader(records) if files.format == "csv" else plain.read_json


def _tenant(read: plain.Read, piece: Piece) -> Tenant | None:
    try:
        return plain.tenant(read(piece))
    except BadRecord:  # told when its integration is read
        return None
