"""The file family while its workers are killed: the same index as if nobody had."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.families.files.disk import Disk, declare
from tests.families.files.shelf import Shelf, fresh
from tests.families.running import Home, in_file

from lamplighter.families.files.family import FileFamily
from lamplighter.families.files.file_source import FileSource, NewSource
from lamplighter.families.files.reading import BATCH
from lamplighter.families.files.told import SHARDS
from lamplighter.integrations.tenants import Tenant

FILES, KILLS = 300, 5
ROOT = Path(__file__).parents[3]

WORKER = """
import asyncio, sys
from pathlib import Path
from tests.families.files.disk import declare
from tests.families.running import Home

async def main():
    app, _ = declare(Home(Path(sys.argv[2]), *sys.argv[3:]).settings(lease=3), Path(sys.argv[1]))
    async with app, app.worker() as worker:
        await worker.stopped()

asyncio.run(main())
"""


@pytest.fixture(params=["one file", "one schema"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "one file":
        return in_file(tmp_path)
    return Home(tmp_path, request.getfixturevalue("postgres_schema_url"))


def fill(folder: Path) -> None:
    for n in range(FILES):
        path = folder / f"{n % 7}" / f"{n:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file number {n} of {FILES}, {'broken' if n % 50 == 3 else 'whole'}")


class Worker:
    """A process that works, again if it was taken down."""

    def __init__(self, home: Home, log: Path) -> None:
        self._arguments = (str(log), *home.arguments)
        self._process: Process | None = None

    async def start(self) -> None:
        path = os.pathsep.join(["src", str(ROOT), *sys.path])
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, *self._arguments,
            stdout=DEVNULL, stderr=DEVNULL, cwd=ROOT, env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip

    async def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Look again and again."""
        async with asyncio.timeout(200):
            while not await is_so():
                if self._process is None or self._process.returncode is not None:
                    await self.start()
                await asyncio.sleep(0.02)


async def add(family: FileFamily, folder: Path) -> FileSource:
    await family._tokens.service.tenants.add([Tenant(id="copper-bakery", name="Copper Bakery", owner_id="auth|1")])
    new = NewSource(tenant_id="copper-bakery", kind="folder", name=folder.name, place=str(folder))
    source = await family.sources.add(new)
    assert await family.sync_now(source.id)
    return source


async def look(family: FileFamily, source: FileSource) -> FileSource:
    found = await family.sources.get(source.id)
    assert found is not None
    return found


@pytest.mark.timeout(300)
async def test_however_often_workers_are_killed_the_index_is_that_of_an_undisturbed_run(
    home: Home, tmp_path: Path
) -> None:
    folder, log, dice = tmp_path / "files", tmp_path / "read.log", random.Random(7)
    kills = KILLS if home.store.startswith("sqlite") else 1
    fill(folder)
    app, family = declare(home.settings(), log)
    async with app:
        source, worker = await add(family, folder), Worker(home, log)
        try:
            for kill in range(kills):
                enough = dice.randrange(FILES * kill // (kills + 1), FILES * (kill + 1) // (kills + 1))
                await worker.until(lambda n=enough: has_read(family, source, n))  # type: ignore[misc] # bound now, run now
                await worker.kill()
            await worker.until(lambda: is_done(family, source))
        finally:
            await worker.kill()
        shelf = Shelf(family._tokens.service.database, source)
        assert await shelf.counted() == await shelf.recounted() == (FILES, 0, FILES // 50)
        undisturbed = await fresh(shelf)
        await undisturbed.sync(Disk(folder))
        await undisturbed.read(Disk(folder))
        assert await shelf.rows() == await undisturbed.rows()
    read = len(log.read_text().split())
    assert FILES <= read <= FILES + kills * SHARDS * BATCH, "a crash costs what was under way"


async def has_read(family: FileFamily, source: FileSource, files: int) -> bool:
    return (await look(family, source)).processed >= files


async def is_done(family: FileFamily, source: FileSource) -> bool:
    seen = await look(family, source)
    return seen.is_listed and not seen.pending
