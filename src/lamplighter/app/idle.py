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
    if swept.due or swept.failed or (swept.next_at is not None and swept.next_at <= clock()):
        return False
    stats = [one for one in await store.stats() if worker.serves(one.queue) and not one.paused]
    if not worker.is_idle or any(one.running for one in stats):
        return False
    queued = {one.queue: one.queued for one in stats if one.queued}
    return not queued or await _all_wait_for_later(store, clock, queued)


async def _all_wait_for_later(store: Store, clock: Clock, queued: dict[str, int]) -> bool:
    """Whether every job waits before a gate that is shut until another time, like jobs that are scheduled for it."""
    for queue in queued:
        if await store.shares(queue, limit=1):
            return False
    gates = [gate for gate in await store.gates(limit=MOST_GATES, now=clock()) if gate.waiting]
    shut = all(gate.held or gate.opens_at is not None for gate in gates)
    return shut and sum(queued.values()) <= sum(gate.waiting for gate in gates)
