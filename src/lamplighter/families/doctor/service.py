"""Integrations as far as a doctor looks at them: nothing is migrated, made or refreshed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.families.doctor import audit, tokens
from lamplighter.families.doctor.finding import Findings
from lamplighter.integrations.notices.channel import Undelivered
from lamplighter.integrations.service import database_url, folder_of, journal_folder
from lamplighter.integrations.storage import migrate
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import KEY_FILE


class Places(NamedTuple):
    """Where the service keeps what. No `url`: it has no tables, for they cannot be where the jobs are."""

    url: str | None
    folders: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()


def places(settings: Settings) -> Places:
    """What the settings come to. Raises ConfigError for a `database` that there cannot be."""
    try:
        database = Database(database_url(settings))
    except ConfigError:
        if settings.database:
            raise
        return Places(None)
    folder = folder_of(settings, database)
    return Places(database_url(settings), (folder, journal_folder(settings, database)), (folder / KEY_FILE,))


async def look(found: Findings, settings: Settings) -> None:
    """Look at tables that are there, and of this version."""
    database = Database(database_url(settings))
    if database.path is not None and not database.path.exists():
        return  # nobody has opened it yet
    async with database:
        version = await migrate.current(database)
        if version is not None and version != migrate.newest():
            what = "an older version" if version in migrate.steps() else "a newer Lamplighter"
            do = "run `lamplighter migrate`" if version in migrate.steps() else "upgrade this one"
            raise StoreDamaged(f"the tables of integrations at {database.url} are of {what}: {do}.")
        if version is None:
            return
        seen = await tokens.look(database, now=utcnow())
        for name, check in tokens.CHECKS.items():
            found.tell(name, check(seen))
        logged = await audit.look(database, now=utcnow())
        for name, examine in audit.CHECKS.items():
            found.tell(name, examine(logged))
        found.tell("keys", await tokens.keys(database, settings))


async def mail(settings: Settings) -> list[str]:
    """Whether the mail servers that are set let us in."""
    if settings.smtp_url is None:
        return []
    from lamplighter.integrations.notices.channel_mail import greet, servers_of  # noqa: PLC0415 - slow to import

    found = []
    for server in servers_of(settings.smtp_url):
        try:
            await greet(server)
        except Undelivered as error:
            found.append(str(error))
    return found
