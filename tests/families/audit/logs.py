"""Audit logs to be archived: filled, tampered with, and held against what was written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, select, update

from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, Archives
from lamplighter.families.audit.archiver import Archiver, Moved
from lamplighter.families.audit.destroyer import Destroyer
from lamplighter.families.audit.folder import Folder
from lamplighter.families.audit.storage import Storage
from lamplighter.families.audit.verifying import Chain, Verdict, Verifying
from lamplighter.integrations.audit import Resource, record
from lamplighter.integrations.auditing.chain import Content, content_of, stored
from lamplighter.integrations.auditing.sealing import Head, seal
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import audit

T = TypeVar("T")

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLD = timedelta(days=100)  # which is archived, and not destroyed yet
SETTINGS = Settings()


class Log(NamedTuple):
    """A database with the log, and a folder for archives, as of NOW. `database` and `storage` may be mortal."""

    database: Database
    storage: Storage
    folder: Path

    async def write(
        self,
        action: str = "queue.pause",
        *,
        about: Sequence[str] = ("q",),
        tenant: str | None = "t-1",
        ago: timedelta = OLD,
    ) -> None:
        """Records that long ago."""
        named = [Resource("queue", id_, tenant) for id_ in about]
        await self.database.write(
            lambda connection: record(connection, action, named, NOW - ago, changes={"é": [1, 2.5, None]})
        )

    async def seal(self) -> int:
        """All of it."""
        total = 0
        while some := await seal(self.database, batch=7):
            total += some
        return total

    async def archive(self) -> Moved:
        return await Archiver(self.database, self.storage, SETTINGS, clock=lambda: NOW, batch=3).run()

    async def destroy(self, later: timedelta) -> int:
        """What is to go from archives that much later."""
        return await Destroyer(self.database, self.storage, SETTINGS, clock=lambda: NOW + later).run()

    async def chain(self, name: str = "t-1") -> Chain:
        [found] = await Verifying(self.database, self.storage).chains(only=[name])
        return found

    async def verify(self, name: str = "t-1", *, heads: Sequence[Head] = ()) -> Verdict:
        verifying = Verifying(self.database, self.storage, clock=lambda: NOW)
        return await verifying.verify(await self.chain(name), heads=heads)

    async def is_whole(self) -> bool:
        """Every chain."""
        chains = await Verifying(self.database, self.storage).chains()
        return [one.chain for one in chains if (await self.verify(one.chain)).what is not None] == []

    async def live(self) -> list[Content]:
        """What the table has."""
        rows = await self.database.read(lambda one: one.execute(stored().order_by(audit.c.id)).all())
        return [content_of(row) for row in rows]

    async def archives(self) -> list[Archive]:
        return sorted(await Archives(self.database).page(), key=lambda one: one.first_seq)

    async def archived(self) -> list[Content]:
        """What archives have left."""
        return [
            one.content
            for archive in await self.archives()
            if archive.state in {"written", "archived"}
            async for some in await objects.read(self.storage, archive)
            for one in some
            if one.content is not None
        ]

    async def tamper(self, where: Any, **values: Any) -> None:
        """As somebody does who may write the table."""
        await self.database.write(lambda one: one.execute(update(audit).where(where).values(**values)))

    def objects(self) -> list[Path]:
        """The files that there are."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@asynccontextmanager
async def open_log(url: str, folder: Path) -> AsyncIterator[Log]:
    """An empty one."""
    archive = folder / "archive"
    archive.mkdir(exist_ok=True)
    async with Database(url) as database:
        await upgrade(database)
        yield Log(database, Folder(archive), archive)


class Killed(BaseException):
    """As SIGKILL: nothing is done any more, and nobody catches it."""


class Fate:
    """When it ends: at a step, before that took effect or after."""

    def __init__(self, step: int, *, after: bool) -> None:
        self._left = step
        self._after = after

    async def meet(self, act: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        result = await act()
        if self._left == 0:
            raise Killed
        return result


class MortalDatabase:
    """A database whose user dies."""

    def __init__(self, database: Database, fate: Fate) -> None:
        self._database = database
        self._fate = fate

    async def write(self, work: Callable[[Connection], T]) -> T:
        result: T = await self._fate.meet(lambda: self._database.write(work))
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._database.read(work)


class MortalStorage:
    """The same of where archives are."""

    place = "nowhere"

    def __init__(self, storage: Storage, fate: Fate) -> None:
        self._storage = storage
        self._fate = fate

    async def put_new(self, key: str, content: bytes) -> bool:
        return bool(await self._fate.meet(lambda: self._storage.put_new(key, content)))

    async def get(self, key: str, most: int) -> bytes:
        return await self._storage.get(key, most)

    async def delete(self, key: str) -> None:
        await self._fate.meet(lambda: self._storage.delete(key))


def mortal(log: Log, step: int, *, after: bool) -> Log:
    """The same log, for somebody who dies at that step."""
    fate = Fate(step, after=after)
    return Log(MortalDatabase(log.database, fate), MortalStorage(log.storage, fate), log.folder)  # type: ignore[arg-type]


async def states(log: Log) -> list[str]:
    """Of archives."""
    return list(await log.database.read(lambda one: one.execute(select(audit_archives.c.state)).scalars().all()))


def us(ago: timedelta) -> int:
    """A moment before NOW."""
    return to_us(NOW - ago)
