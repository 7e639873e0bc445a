"""A source is added once it is seen that it could be opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.families.files.file_source import BadSource, FileSource, NewSource, checked
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.sources.opening import check_source
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
    """An integration that is another's is left to the table, which says of it no more than of one that is not there."""
    drive = None
    if new.integration_id is not None:
        integration = await service.integrations.get(new.integration_id)
        if integration is None or integration.tenant_id != new.tenant_id:
            return
        drive = (await service.registrations.get(integration.provider_slug)).drive
    credentials, below = new.credentials, [Path(root) for root in roots]
    try:
        login = read_credentials(credentials) if credentials else None
        check_source(new.kind, new.place, drive=drive, credentials=login, roots=below)
    except ConfigError as error:
        raise BadSource(str(error)) from None
