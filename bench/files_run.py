"""One run of `bench.files`: a store of its own, an app that looks on, and worker processes that may be killed."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.file_servers import PASSWORD, USER
from bench.files_worker import files_app
from sqlalchemy import func, select

from lamplighter.cli.progress import Step
from lamplighter.core.clock import to_us
from lamplighter.families.files.family import FileFamily
from lamplighter.families.files.file_source import FileSource, Kind, NewSource
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.storage.file_tables import file_texts, files
from lamplighter.integrations.tenants import Tenant

ROOT = Path(__file__).parents[1]
TENANT = "copper-bakery"
NAMED = {"user": USER, "password": PASSWORD}
LOOK_EVERY = 0.25  # seconds
FOUND = ("status", "reason", "digest", "mime_type", "title", "author", "language", "pages", "details")
COMPARED = ("remote_id", "path", "name", "is_folder", "size", "revision", *FOUND)


class Counted(NamedTuple):
    """How many files were read since, and how many are there."""

    read: int
    there: int


class Crew:
    """Worker processes, of which one may be killed, and is started again."""

    def __init__(self, *arguments: str, size: int) -> None:
        self._command = (sys.executable, "-m", "bench.files_worker", *arguments)
        self._size = size
        self._processes: list[Process] = []

    async def fill(self) -> None:
        """As many as there should be."""
        while len(self._processes) < self._size:
            self._processes.append(await asyncio.create_subprocess_exec(*self._command, cwd=ROOT))

    async def kill(self, which: int) -> None:
        """With SIGKILL."""
        process = self._processes.pop(which)
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        """All of them."""
        while self._processes:
            await self.kill(0)


class Run:
    """An app that looks on while its workers index a source."""

    def __init__(self, family: FileFamily, tokens: TokenFamily, crew: Crew, source: FileSource, look: Step) -> None:
        self._family = family
        self._database = tokens.service.database
        self._crew = crew
        self._source = source
        self._look = look

    async def index(self, files_there: int, kills: int, workers: int) -> float:
        """The seconds that it takes, though so many workers are killed, at moments spread over it."""
        dice, began = random.Random(11), time.perf_counter()
        await self._family.sync_now(self._source.id)
        for enough in sorted(dice.sample(range(files_there), kills)):
            await self._until(lambda seen, enough=enough: seen.processed >= enough, files_there)  # type: ignore[misc]
            await self._crew.kill(dice.randrange(workers))
            await self._crew.fill()
        await self._until(lambda seen: seen.is_listed and not seen.pending, files_there)
        return time.perf_counter() - began

    async def look_again(self, since: datetime) -> float:
        """The seconds until what has changed is known and read."""
        began = time.perf_counter()
        await self._family.sync_now(self._source.id)
        await self._until(lambda seen: seen.synced_at is not None and seen.synced_at > since and not seen.pending, 0)
        return time.perf_counter() - began

    async def rows(self) -> Sequence[Any]:
        """All that was found out, but for what counts and dates it."""
        columns = [files.c[name] for name in COMPARED]
        statement = select(*columns, file_texts.c.text).outerjoin(file_texts, file_texts.c.file_id == files.c.id)
        ordered = statement.order_by(files.c.remote_id)
        return await self._database.read(lambda connection: connection.execute(ordered).all())

    async def counted(self, since: datetime) -> Counted:
        """What was read since, and what is there."""
        read = select(func.count()).where(files.c.indexed_at >= to_us(since))
        there = select(func.count()).where(~files.c.is_folder)
        return await self._database.read(
            lambda connection: Counted(connection.scalar(read) or 0, connection.scalar(there) or 0)
        )

    async def _until(self, is_so: Callable[[FileSource], bool], files_there: int) -> None:
        while True:
            seen = await self._family.sources.get(self._source.id)
            assert seen is not None
            if seen.state == "refused":
                raise SystemExit(f"the source is refused: {seen.failure}")
            self._look("indexing", seen.processed, files_there or seen.files)
            if is_so(seen):
                return
            await asyncio.sleep(LOOK_EVERY)


@asynccontextmanager
async def running(kind: Kind, place: str, folder: Path, workers: int, look: Step) -> AsyncIterator[Run]:
    """A source in a store of its own, which lies in that folder, and so many processes that work on it."""
    await asyncio.to_thread(folder.mkdir)
    store = f"sqlite:///{folder}/jobs.db"
    app, tokens, family = files_app(store, folder)
    crew = Crew(store, str(folder), size=workers)
    async with app:
        await tokens.service.tenants.add([Tenant(id=TENANT, name=TENANT, owner_id="auth|1")])
        new = NewSource(tenant_id=TENANT, kind=kind, name="files", place=place, credentials=NAMED)
        source = await family.add(new)
        await crew.fill()
        try:
            yield Run(family, tokens, crew, source, look)
        finally:
            await crew.stop()
