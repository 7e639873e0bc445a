"""How long the pages of the dashboard take with very many jobs in a store.

.venv/bin/python bench/pages.py --jobs 200000
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import median

import httpx2
from fastapi import Request

from lamplighter import App, Ctx
from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.core.model import Failure, Outcome
from lamplighter.web import Caller, Role, dashboard

TOGETHER = 1000
FAILS = 50  # one job in so many
TENANTS, QUEUES = 200, 8
PAGES = (
    "/",
    "/queues",
    "/queues/queue-3",
    "/jobs",
    "/jobs?state=failed",
    "/jobs?state=queued",
    "/jobs?tenant=tenant-7",
    "/jobs?name=work",
    "/failures",
    "/tenants",
    "/workers",
    "/limits",
)
ROUNDS = 7


async def _viewer(_request: Request) -> Caller:
    return Caller(user_id="bench", role=Role.VIEWER)


async def _measure(store: str, jobs: int) -> None:
    app = App(settings=Settings(store=store))

    @app.job()
    async def work(ctx: Ctx[None], number: int) -> None: ...

    pages = dashboard(app, identify=_viewer)
    async with app:
        for numbers in _batches(jobs // 2):
            drafts = (work.using(queue=f"queue-{n % QUEUES}", tenant=f"tenant-{n % TENANTS}").draft(n) for n in numbers)
            await app.enqueue(drafts)
            await _end(app)
        for numbers in _batches(jobs - jobs // 2):
            drafts = (work.using(queue=f"queue-{n % QUEUES}", tenant=f"tenant-{n % TENANTS}").draft(n) for n in numbers)
            await app.enqueue(drafts)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=pages), base_url="http://bench") as client:
            for path in PAGES:
                print(f"{path:<26} {await _time(client, path)}")


def _batches(jobs: int) -> Iterator[range]:
    return (range(first, min(first + TOGETHER, jobs)) for first in range(0, jobs, TOGETHER))


async def _end(app: App[None]) -> None:
    """What is queued ends: most of it well."""
    now = utcnow()
    claimed = await app.store.claim((), TOGETHER, worker="bench", lease=timedelta(minutes=1), now=now)
    outcomes = []
    for number, one in enumerate(claimed):
        failure = Failure(
            fence=one.fence,
            at=now,
            kind="error",
            error="ValueError",
            message="no",
            traceback='  File "a.py", line 1, in a',
        )
        fails = number % FAILS == 0
        outcomes.append(
            Outcome(
                id=one.id,
                fence=one.fence,
                verb="fail" if fails else "done",
                reason=f"ValueError: no {number}" if fails else None,
                failure=failure if fails else None,
                keep_until=now + timedelta(days=1),
            )
        )
    await app.store.finish(outcomes, now=now)


async def _time(client: httpx2.AsyncClient, path: str) -> str:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = await client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
    return f"first {took[0]:6.1f} ms, median {median(took):6.1f} ms, {len(answer.content) / 1024:5.1f} KiB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--store", help="an empty one; by default a SQLite file that is deleted afterwards")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(given.store or f"sqlite:///{folder}/jobs.db", given.jobs))
