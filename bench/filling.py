"""A store with very many jobs, half of which have ended: what the benches of reads look at."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from bench.filled_app import Work

from lamplighter import App
from lamplighter.core.clock import utcnow
from lamplighter.core.model import Claimed, Failure, Outcome

TOGETHER = 1000
FAILS = 50  # one job in so many
TENANTS, QUEUES = 200, 8


async def fill(app: App[None], work: Work, jobs: int) -> None:
    """So many, over queues and tenants. The app is open, and no worker of it runs."""
    ended = jobs // 2
    for numbers in _batches(jobs):
        await app.enqueue(
            work.using(queue=f"queue-{n % QUEUES}", tenant=f"tenant-{n % TENANTS}").draft(n) for n in numbers
        )
        if numbers.stop <= ended:
            await _end(app)


def _batches(jobs: int) -> Iterator[range]:
    return (range(first, min(first + TOGETHER, jobs)) for first in range(0, jobs, TOGETHER))


async def _end(app: App[None]) -> None:
    """What is queued ends: most of it well."""
    now = utcnow()
    claimed = await app.store.claim((), TOGETHER, worker="bench", lease=timedelta(minutes=1), now=now)
    await app.store.finish([_outcome(number, one) for number, one in enumerate(claimed)], now=now)


def _outcome(number: int, one: Claimed) -> Outcome:
    now = utcnow()
    until = now + timedelta(days=1)
    if number % FAILS:
        return Outcome(id=one.id, fence=one.fence, verb="done", keep_until=until)
    trace = '  File "a.py", line 1, in a'
    failure = Failure(fence=one.fence, at=now, kind="error", error="ValueError", message="no", traceback=trace)
    reason = f"ValueError: no {number}"
    return Outcome(id=one.id, fence=one.fence, verb="fail", reason=reason, failure=failure, keep_until=until)
