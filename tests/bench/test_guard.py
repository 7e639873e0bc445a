"""A job must not come to cost a multiple of what it costs now: a guard against slips that no other test would notice.

What is compared is processor time: ours, and that of a plain loop in turn with it in the same test. So neither a slow
machine nor a busy one matters; but what waits, for a lock or a disk, is for the benches to see.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import pytest

from lamplighter.cli.measure import Bench, bench_app, drafts, drain

JOBS = 400
TURNS = 5

# How many loops a job may cost: to enqueue in bulk, and to drain. Each is about twice what was seen on idle and on busy
# machines. Where a feature is worth more, say so in the commit that raises it; where we became faster, lower it.
MAY_COST = {"memory": (0.55, 2.0), "sqlite": (0.9, 4.0)}


@pytest.mark.parametrize("store", MAY_COST)
async def test_a_job_costs_no_multiple_of_a_plain_loop_around_sqlite(store: str, tmp_path: Path) -> None:
    url = "memory://" if store == "memory" else f"sqlite:///{tmp_path}/jobs.db?synchronous=off"
    bench = bench_app(url)
    enqueues, drains = [], []
    async with bench.app:
        await _round(bench)  # what is imported, compiled and prepared once is not a job's
        for _ in range(TURNS):
            loop = await _cost(lambda: _loops(tmp_path))
            enqueued, drained = await _round(bench)
            enqueues.append(enqueued / loop)
            drains.append(drained / loop)
    assert median(enqueues) < MAY_COST[store][0]
    assert median(drains) < MAY_COST[store][1]


async def _round(bench: Bench) -> tuple[float, float]:
    enqueued = await _cost(lambda: bench.app.enqueue(drafts(bench.noop, JOBS)))
    drained = await _cost(lambda: drain(bench.app, JOBS, 50, lambda _: None))
    return enqueued, drained


async def _cost(work: Callable[[], Awaitable[object]]) -> float:
    """Processor seconds, of all threads of this process."""
    gc.collect()
    began = time.process_time()
    await work()
    return time.process_time() - began


async def _loops(folder: Path) -> None:
    """For each job three transactions (to add, to claim, to end it) and its payload written and read."""
    with sqlite3.connect(folder / "plain.db", isolation_level=None) as plain:
        plain.execute("PRAGMA journal_mode = wal")
        plain.execute("PRAGMA synchronous = off")
        plain.execute("CREATE TABLE IF NOT EXISTS job (id INTEGER PRIMARY KEY, state TEXT, payload TEXT)")
        for number in range(JOBS):
            payload = json.dumps([f"i-{number}", f"t-{number % 50}"])
            plain.execute("INSERT INTO job (state, payload) VALUES ('queued', ?)", (payload,))
            [(which, found)] = plain.execute(
                "UPDATE job SET state = 'running' WHERE id = (SELECT min(id) FROM job) RETURNING id, payload"
            ).fetchall()
            json.loads(found)
            plain.execute("DELETE FROM job WHERE id = ?", (which,))
    plain.close()
