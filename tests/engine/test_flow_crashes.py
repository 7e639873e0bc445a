"""Flows while processes are killed: a batch that was half enqueued goes on, and its last job runs after all others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine.crash_worker import make
from tests.engine.test_crashes import kill_one_each_second, processes

from lamplighter import App, Children, group
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.core.model import Where

JOBS = 300
MANY = 20_000
SOON = 60  # seconds

# Enqueues a flow, and says so when it has come far enough to be killed.
ENQUEUE = """
import asyncio, sys
from lamplighter import App, Ctx, group
from lamplighter.core.config import Settings

app = App(sys.argv[1], settings=Settings())

@app.job()
async def step(ctx: Ctx[None], n: int) -> None: ...

async def main():
    added = 0
    def heard(event):
        nonlocal added
        added += 1
        if added == 3000:
            print("on its way", flush=True)
    app.listen(heard)
    async with app:
        drafts = (step.draft(n) for n in range(int(sys.argv[3])))
        await app.enqueue_flow(group(drafts, step.draft(-1), count=int(sys.argv[3])), id=sys.argv[2])

asyncio.run(main())
"""


async def test_the_last_job_runs_after_all_others_though_workers_are_killed(sqlite: str, tmp_path: Path) -> None:
    (app, _, append, _), effects, over = make(sqlite, ""), tmp_path / "effects", asyncio.Event()
    async with app, processes(3, sqlite, effects) as running:
        drafts = [append.draft(n) for n in range(JOBS)]
        handle = await app.enqueue_flow(group(drafts, append.draft(JOBS), on_failure="continue"))
        trouble = asyncio.create_task(kill_one_each_second(running, sqlite, effects, over))
        try:
            await handle.result(timeout=90)
        finally:
            over.set()
            await trouble
        view = await handle.view()
    lines = [int(line) for line in effects.read_text().splitlines()]
    assert set(lines[: lines.index(JOBS)]) == set(range(JOBS))
    assert view.children == Children(total=JOBS, on_failure="continue", added=JOBS, done=JOBS)
    assert lines.count(JOBS) <= 1 + view.crashes


@pytest.mark.parametrize("store", ["sqlite", "postgres_schema_url", "redis_prefix_url"])
async def test_a_flow_whose_enqueuer_was_killed_is_whole_once_it_is_enqueued_again(
    request: pytest.FixtureRequest, store: str
) -> None:
    url, id_ = str(request.getfixturevalue(store)), new_id(1_900_000_000_000_000)
    command = [sys.executable, "-c", ENQUEUE, url, id_, str(MANY)]
    killed = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"on its way\n"
    killed.kill()
    await killed.communicate()
    async with App(url, settings=Settings()) as app:
        [half] = await app.store.page(Where(ids=(id_,)), limit=1)
        assert half.children is not None
        assert 2999 <= half.children.added < MANY
        await asyncio.to_thread(subprocess.run, command, stdout=subprocess.DEVNULL, check=True, timeout=SOON)
        [whole] = await app.store.page(Where(ids=(id_,)), limit=1)
        assert whole.children == Children(total=MANY, added=MANY)
        assert sum(one.queued for one in await app.store.stats()) == MANY
