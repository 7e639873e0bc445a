"""Counting: each queue's jobs by state."""

from __future__ import annotations

from lamplighter.core.model import Keep, QueueStats
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    ended,
    job,
    later,
    parent,
    started,
)


async def test_an_empty_store_has_no_queues(store: Store) -> None:
    assert await store.stats() == []


async def test_each_state_of_each_queue_is_counted(store: Store) -> None:
    for verb in ("done", "fail", "cancel", "fail"):
        await ended(store, verb)
    await started(store)
    await add(store, job(), job(), job(run_at=later(9)), job(queue="a"), parent(1))
    assert await store.stats() == [
        QueueStats(queue="a", paused=False, queued=1),
        QueueStats(queue="mail", paused=False, held=1, scheduled=1, queued=2, running=1, done=1, failed=2, cancelled=1),
    ]


async def test_counts_follow_every_move(store: Store) -> None:
    async def counts() -> list[int]:
        [s] = await store.stats()
        return [s.scheduled, s.queued, s.running, s.done, s.failed, s.cancelled]

    await add(store, job(run_at=later(1)), job(run_at=later(1)))
    assert await counts() == [2, 0, 0, 0, 0, 0]
    await store.sweep(MANY, now=later(1))
    assert await counts() == [0, 2, 0, 0, 0, 0]
    await claim(store, 1)
    assert await counts() == [0, 1, 1, 0, 0, 0]
    await store.sweep(MANY, now=NOW + LEASE)
    assert await counts() == [0, 2, 0, 0, 0, 0]
    await store.cancel(EVERY, limit=1, now=NOW)
    assert await counts() == [0, 1, 0, 0, 0, 1]
    await store.retry(EVERY, limit=1, now=NOW)
    assert await counts() == [0, 2, 0, 0, 0, 0]
    await store.cancel(EVERY, limit=2, now=NOW)
    await store.prune(Keep(failed=1), limit=MANY, now=NOW)
    assert await counts() == [0, 0, 0, 0, 0, 1]
