"""When a worker has nothing left to do."""

from __future__ import annotations

import asyncio

from lamplighter.core.clock import Clock
from lamplighter.engine.worker import Worker
from lamplighter.store.base import Store

MOST_GATES = 1000  # that are looked at
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
    swept = await worker.sweep()
    stats = [one for one in await store.stats() if worker.serves(one.queue) and not one.paused]
    if swept.due or not worker.is_idle or any(one.running for one in stats):
        return False
    queued = sum(one.queued for one in stats)
    return not queued or queued <= await _shut_out(store, clock)


async def _shut_out(store: Store, clock: Clock) -> int:
    """How many jobs wait before gates that are shut until a later time, like jobs that are scheduled for it."""
    gates = await store.gates(limit=MOST_GATES, now=clock())
    return sum(gate.waiting for gate in gates if gate.held or gate.opens_at is not None)
