"""A source is added once it is seen that it could be opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.families.files.file_source import BadSource, FileSource, NewSource, checked
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.source import SourceRefused
from lamplighter.families.files.sources.opening import check_source, drive_of
from lamplighter.families.files.sources.place import read_credentials
from lamplighter.integrations.service import Service


async def add_source(
    service: Service, new: NewSource, *, roots: Sequence[str] = (), clock: Clock = utcnow
) -> FileSource:
    """Have what is there indexed from now on. `roots`: the settings' `file_roots`.

    Raises:
        BadSource: there can be no such source, its name is taken, or its tenant has too many.
    """
    await _check(service, checked(new), roots)
    return await FileSources(service.database, service.vault, clock=clock).add(new)


async def _check(service: Service, new: NewSource, roots: Sequence[str]) -> None:
    try:
        check_source(
            new.kind,
            new.place,
            drive=await drive_of(service, new.integration_id) if new.integration_id else None,
            credentials=read_credentials(new.credentials) if new.credentials else None,
            roots=[Path(root) for root in roots],
        )
    except (ConfigError, SourceRefused) as error:
        raise BadSource(str(error)) from None
