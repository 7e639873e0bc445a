"""`lamplighter integrations import`: bring integrations from a file, or from MWAP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import msgspec
import typer

from lamplighter.cli.extras import need
from lamplighter.cli.integrations import with_family, with_service
from lamplighter.cli.output import Json, StoreUrl, count, print_json, say
from lamplighter.cli.progress import bars
from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError

if TYPE_CHECKING:
    from lamplighter.families.tokens import TokenFamily
    from lamplighter.integrations.imports.importer import Told
    from lamplighter.integrations.imports.report import Report
    from lamplighter.integrations.imports.run import Files
    from lamplighter.integrations.imports.source import Format
    from lamplighter.integrations.service import Service


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON (an array, or a document a line) or CSV.")],
    *,
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", metavar="FORMAT", help="json, csv or mwap; by default what it looks like.")
    ] = None,
    providers: Annotated[
        Path | None, typer.Option("--providers", metavar="FILE", help="MWAP's collection cloudProviders, exported.")
    ] = None,
    tenants: Annotated[
        Path | None, typer.Option("--tenants", metavar="FILE", help="MWAP's collection tenants, exported.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come, and write nothing.")] = False,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Bring integrations from a file, or from an export of MWAP.

    What is there already stays as it is, so it can be run again. Ends with 1 if a record was refused; the others have
    come.
    """
    need("integrations", "lamplighter integrations")
    from lamplighter.integrations.imports.run import choose, run  # noqa: PLC0415 - optional, and slow to import

    files = choose(file, _format(format), providers, tenants)
    key = load(flags={"store": store}).settings.mwap_encryption_key
    with _progress(files, is_shown=not json) as told:

        async def look(service: Service) -> Report:
            return await run(files, service, _plan_none, mwap_key=key, dry_run=True, told=told)

        async def act(family: TokenFamily) -> Report:
            return await run(files, family.service, family.plan, mwap_key=key, dry_run=False, told=told)

        report = with_service(store, look) if dry_run else with_family(store, act)
    if json:
        print_json(msgspec.to_builtins(report))
    else:
        say("\n".join(_told(report)))
    if report.refused:
        raise typer.Exit(1)


def _format(name: str | None) -> Format | None:
    from lamplighter.integrations.imports.source import Format  # noqa: PLC0415 - optional

    if name is not None and name not in get_args(Format):
        raise ConfigError(f"there is no format {name!r:.40}: give one of {', '.join(get_args(Format))}.")
    return name  # type: ignore[return-value]  # checked above


async def _plan_none(due: object) -> None:
    """A dry run plans nothing."""


@contextmanager
def _progress(files: Files, *, is_shown: bool) -> Iterator[Told]:
    if not is_shown:
        yield lambda size: None  # noqa: ARG005 - nobody looks
        return
    with bars() as shown:
        bar = shown.add_task("importing", total=files.size)
        yield lambda size: shown.advance(bar, size)


def _told(report: Report) -> Iterator[str]:
    if report.dry_run:
        yield "Nothing was written; without --dry-run it would come to this:"
    yield (
        f"{count(report.added, 'integration')} came, {report.known:,} {_be(report.known)} there already, "
        f"{count(report.refused, 'record')} {_be(report.refused)} refused."
    )
    if report.tenants:
        yield f"{count(report.tenants, 'tenant')} added."
    if report.providers:
        yield f"Providers registered: {', '.join(report.providers)}."
    for one in report.refusals:
        yield f"{one.file}, {one.where}: {one.reason}"
    if more := report.refused - len(report.refusals):
        yield f"{count(more, 'more record')} refused; correct these and run it again to see the rest."


def _be(number: int) -> str:
    return "was" if number == 1 else "were"
