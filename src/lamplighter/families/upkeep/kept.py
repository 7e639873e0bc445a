"""What is kept up: the databases that the settings name, each once, whatever is in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.families.upkeep.elsewhere import ElsewhereDatabase
from lamplighter.families.upkeep.finding import Finding, Size
from lamplighter.families.upkeep.sqlite.database import SqliteDatabase
from lamplighter.families.upkeep.turn import Turn
from lamplighter.integrations.service import database_url
from lamplighter.store.sqlite import url as sqlite_url

MEGABYTE = 1_000_000


class Session(Protocol):
    """A database while it is open."""

    async def find(self) -> list[Finding]:
        """What is to be told of it, whether or not it is past its bounds. Changes nothing."""

    async def sizes(self) -> list[Size]:
        """How much room what is in it takes."""

    async def hold(self) -> None:
        """Hold off every other process that would keep it up too. Raises UpkeepError if one is at it."""

    def steps(self, finding: Finding, turn: Turn) -> AsyncIterator[str]:
        """Do what was found, in steps that are short or end with the turn; each tells what it is at.

        Raises:
            GaveWay: somebody was in the way, or time ran out: it is to be tried again.
            LamplighterError: it failed.
        """

    async def weigh(self, finding: Finding) -> int | None:
        """How many bytes what it is about takes now."""


class Database(Protocol):
    """One database. `tasks`: what may be found of it, in the order in which that is done."""

    @property
    def url(self) -> str: ...
    @property
    def tasks(self) -> tuple[str, ...]: ...

    def opened(self, lock_timeout: timedelta) -> AbstractAsyncContextManager[Session]:
        """Open it, with connections of its own. Nobody waits for it longer than `lock_timeout`, nor it for anybody.

        Raises:
            LamplighterError: it cannot be reached.
        """


def databases(settings: Settings, *, clock: Clock = utcnow) -> list[Database]:
    """Of the jobs, and of the service if it is another one.

    Raises:
        ConfigError: a URL cannot be read.
    """
    urls = list(dict.fromkeys([settings.store, database_url(settings)]))
    found: list[Database] = []
    found += _files([url for url in urls if _scheme(url) == "sqlite"], settings, clock)
    found += _servers([url for url in urls if _scheme(url) in {"postgresql", "postgres"}], settings)
    found += [ElsewhereDatabase(url) for url in urls if _scheme(url) not in {"sqlite", "postgresql", "postgres"}]
    return found


def _files(urls: list[str], settings: Settings, clock: Clock) -> list[Database]:
    paths = dict.fromkeys(sqlite_url.parse(url).path.absolute() for url in urls)
    return [
        SqliteDatabase(
            path,
            least=settings.upkeep_least_mb * MEGABYTE,
            wasted=settings.upkeep_bloat / 100,
            backups=settings.backup_folder,
            kept=settings.backup_kept,
            clock=clock,
        )
        for path in paths
    ]


def _servers(urls: list[str], settings: Settings) -> list[Database]:
    """One for each database, with all of our schemas in it."""
    if not urls:
        return []
    from lamplighter.families.upkeep.postgres.database import PostgresDatabase  # noqa: PLC0415 - its driver is optional
    from lamplighter.families.upkeep.postgres.server import Scope  # noqa: PLC0415
    from lamplighter.families.upkeep.postgres.tasks import Bounds  # noqa: PLC0415
    from lamplighter.store.postgres.url import Place, parse  # noqa: PLC0415

    bounds = Bounds(
        settings.upkeep_bloat / 100, settings.upkeep_least_mb * MEGABYTE, settings.upkeep_oldest_transaction
    )
    also = [name for name in settings.upkeep_also if "." not in name]
    tables = [name for name in settings.upkeep_also if "." in name]
    places: dict[str, list[Place]] = {}
    for place in map(parse, urls):
        places.setdefault(place.dsn, []).append(place)
    return [
        PostgresDatabase(some[0], Scope(sorted({one.schema for one in some} | set(also)), tables), bounds)
        for some in places.values()
    ]


def _scheme(url: str) -> str:
    return urlsplit(url).scheme
