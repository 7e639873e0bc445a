"""Several processes on one file, some of them killed at the worst moment."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.store.recount import miscounted

from lamplighter.core.model import State, Where
from lamplighter.store.sqlite import SqliteStore, connect
from lamplighter.testing.conformance._make import EVERY, LEASE, NOW, add, ids_of, job

StartChild = Callable[..., subprocess.Popen[str]]

ADD_AND_FINISH = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from lamplighter.core.model import Outcome
from lamplighter.store.sqlite import SqliteStore
from lamplighter.testing.conformance._make import LEASE, NOW, job

async def add(store):
    while True:
        for added in await store.add([job() for _ in range(3)], now=NOW):
            print("added", added.id)

async def finish(store):
    while True:
        attempts = await store.claim([], 2, worker="w", lease=LEASE, now=NOW)
        outcomes = [Outcome(id=attempt.id, fence=attempt.fence, verb="done") for attempt in attempts]
        for id_ in await store.finish(outcomes, now=NOW):
            print("done", id_)

async def main():
    async with SqliteStore(Path(sys.argv[1])) as store:
        await asyncio.gather(add(store), add(store), finish(store), finish(store))

asyncio.run(main())
"""


def killed_amid(start: StartChild, path: Path, lines: int) -> list[tuple[str, str]]:
    """What a process acknowledged, word and id, before it was killed after so many lines."""
    child = start(ADD_AND_FINISH, path)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    said += child.stdout.readlines()
    whole = [line.split() for line in said if line.endswith("\n")]
    return [(word, id_) for word, id_ in whole]


@pytest.mark.parametrize("lines", [1, 40, 400])
async def test_what_a_killed_process_acknowledged_is_still_there(path: Path, start: StartChild, lines: int) -> None:
    acknowledged = [ack for _ in range(2) for ack in killed_amid(start, path, lines)]
    async with SqliteStore(path) as store:
        views = {view.id: view for view in await store.page(EVERY, limit=1_000_000)}
        again = await store.sweep(1_000_000, now=NOW + LEASE)
        assert set(again.rescued) == {id_ for id_, view in views.items() if view.state is State.RUNNING}
    assert {id_ for _, id_ in acknowledged} <= views.keys()
    assert {views[id_].state for word, id_ in acknowledged if word == "done"} <= {State.DONE}
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert miscounted(connection) == {}


SHARE = """
import asyncio, sys
from pathlib import Path
from lamplighter.core.model import Outcome, State, Where
from lamplighter.store.sqlite import SqliteStore
from lamplighter.testing.conformance._make import LEASE, NOW, job

JOBS = 300

async def add(store):
    for _ in range(JOBS // 10):
        await store.add([job() for _ in range(10)], now=NOW)

async def work(store, worker):
    finished = 0
    async for _ in store.wake():
        while attempts := await store.claim([], 7, worker=worker, lease=LEASE, now=NOW):
            outcomes = [Outcome(id=attempt.id, fence=attempt.fence, verb="done") for attempt in attempts]
            assert await store.finish(outcomes, now=NOW) == [attempt.id for attempt in attempts]
            for attempt in attempts:
                print(attempt.id, attempt.fence)
        if len(await store.page(Where(states=(State.DONE,)), limit=2 * JOBS)) == 2 * JOBS:
            return

async def main():
    async with SqliteStore(Path(sys.argv[1])) as store:
        print("ready")
        sys.stdin.readline()
        await asyncio.gather(add(store), work(store, sys.argv[2]))

asyncio.run(main())
"""


async def test_two_processes_that_add_and_claim_give_each_job_to_one(path: Path, start: StartChild) -> None:
    children = [start(SHARE, path, worker) for worker in ("w-1", "w-2")]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    said = await asyncio.gather(*(asyncio.to_thread(child.communicate, "go\n") for child in children))
    claims = [line.split() for out, _ in said for line in out.splitlines()]
    assert len(claims) == 600
    assert {fence for _, fence in claims} == {"1"}
    async with SqliteStore(path) as store:
        done = [view.id for view in await store.page(Where(states=(State.DONE,)), limit=1000)]
    assert sorted(done) == sorted(id_ for id_, _ in claims)


OPEN = """
import asyncio, sys
from pathlib import Path
from lamplighter.store.sqlite import SqliteStore
from lamplighter.testing.conformance._make import NOW, job

async def main():
    print("ready")
    sys.stdin.readline()
    async with SqliteStore(Path(sys.argv[1])) as store:
        await store.add([job()], now=NOW)

asyncio.run(main())
"""


async def test_many_processes_may_start_on_a_new_file_at_once(path: Path, start: StartChild) -> None:
    children = [start(OPEN, path) for _ in range(8)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.wait() for child in children] == [0] * 8
    async with SqliteStore(path) as store:
        assert len(await ids_of(store)) == 8
        await add(store, job())
