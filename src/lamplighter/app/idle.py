"""When a worker has nothing left to do."""

from __future__ import annotations

import asyncio

from lamplighter.core.clock import Clock
from lamplighter.engine.worker import Worker
from lamplighter.store.base import Store

MOST_AT_ONCE = 1000  # jobs in one sweep
PAUSE = 0.002  # seconds between looks


async def until_idle(store: Store, clock: Clock, worker: Worker) -> None:
    """Wait until nothing is due that this worker would run, or until it has to stop.

    Two looks must find that, and nothing begun between them: a job may run and come due again while one is under way.
    """
    begun: int | None = None
    while not worker.is_stopping:
        quiet = await _is_quiet(store, clock, worker)
        if quiet and begun == worker.begun:
            return
        begun = worker.begun if quiet else None
        await asyncio.sleep(PAUSE)


async def _is_quiet(store: Store, clock: Clock, worker: Worker) -> bool:
    now = clock()
    swept = await store.sweep(MOST_AT_ONCE, now=now)
    if swept.due or swept.failed or (swept.next_at is not None and swept.next_at <= now):
        return False
    stats = [one for one in await store.stats() if worker.serves(one.queue) and not one.paused]
    return worker.is_idle and not any(one.queued or one.running for one in stats)
