"""Worker processes that share one file, and are killed without warning."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.engine import crash_worker
from tests.engine.crash_worker import make
from tests.engine.waits import alive, until_counts, until_true

from lamplighter import State
from lamplighter.core.model import Where

JOBS = 1000
LEASE = 1.0  # seconds: short, so that what a dead worker held is soon rescued


class Process:
    """One worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, url: str, effects: Path) -> Process:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, crash_worker.__file__, url, str(effects), str(LEASE), stdout=asyncio.subprocess.PIPE
            )
        )

    async def works(self) -> None:
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"working\n"

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.communicate()


@asynccontextmanager
async def processes(n: int, url: str, effects: Path) -> AsyncIterator[list[Process]]:
    """So many worker processes; whichever are in the list when the block ends are killed."""
    running = [await Process.start(url, effects) for _ in range(n)]
    try:
        yield running
    finally:
        for process in running:
            await process.kill()


async def kill_one_each_second(running: list[Process], url: str, effects: Path, over: asyncio.Event) -> int:
    for killed in itertools.count():
        await running[0].works()
        with contextlib.suppress(TimeoutError):  # the pace of the trouble, not a wait for anything
            await asyncio.wait_for(over.wait(), 1)
        if over.is_set():
            return killed
        running.append(await Process.start(url, effects))
        await running[0].kill()
        del running[0]
    raise AssertionError


async def test_no_job_is_lost_while_workers_are_killed_every_second(sqlite: str, tmp_path: Path) -> None:
    (app, _, append, _), effects, over = make(sqlite, ""), tmp_path / "effects", asyncio.Event()
    async with app, processes(3, sqlite, effects) as running:
        handles = await app.enqueue(append.draft(n) for n in range(JOBS))
        trouble = asyncio.create_task(kill_one_each_second(running, sqlite, effects, over))
        try:
            async with asyncio.timeout(90):
                await until_counts(app, done=JOBS, running=0)
        finally:
            over.set()
            killed = await trouble
        views = [view for handle in handles for view in await app.store.page(Where(ids=(handle.id,)), limit=1)]
    counts = Counter(int(line) for line in effects.read_text().splitlines())
    assert set(counts) == set(range(JOBS))  # each effect happened
    assert [view.state for view in views] == [State.DONE] * JOBS
    assert sum(view.failures for view in views) == 0
    assert killed >= 3
    assert sum(counts.values()) - JOBS <= sum(view.crashes for view in views)  # and none twice without a crash


async def test_a_job_of_a_killed_worker_is_rescued_by_another_after_its_lease(sqlite: str, tmp_path: Path) -> None:
    app, _, _, hang_at_first = make(sqlite, "")
    async with app, processes(1, sqlite, tmp_path / "effects") as running:
        handle = await hang_at_first.enqueue(str(tmp_path))
        await until_true((tmp_path / "begun").exists)
        [first] = running
        running.append(await Process.start(sqlite, tmp_path / "effects"))
        await running[1].works()
        await first.kill()
        assert await handle.result(60) == 2
        view, [failure] = await handle.view(), await handle.failures()
    assert (view.crashes, view.failures, failure.kind, failure.error) == (1, 0, "crash", "WorkerLost")


async def test_the_process_of_a_job_ends_with_its_killed_worker(sqlite: str, tmp_path: Path) -> None:
    app, hang_in_process, _, _ = make(sqlite, "")
    async with app, processes(1, sqlite, tmp_path / "effects") as [worker]:
        await hang_in_process.enqueue(str(tmp_path))
        await until_true((tmp_path / "pid").exists)
        await worker.kill()
        await until_true(lambda: not alive(int((tmp_path / "pid").read_text())))
