"""Counting: each queue's jobs by state."""

from __future__ import annotations

from datetime import datetime

from lamplighter.core.flow_control import GateRule
from lamplighter.core.model import MOST_LINES, Keep, QueueStats
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
    rule,
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
        QueueStats(queue="a", paused=False, queued=1, oldest=NOW),
        QueueStats(
            queue="mail",
            paused=False,
            held=1,
            scheduled=1,
            queued=2,
            running=1,
            done=1,
            failed=2,
            cancelled=1,
            oldest=NOW,
        ),
    ]


async def test_the_oldest_is_what_is_due_longest_of_all_tenants_and_priorities(store: Store) -> None:
    async def oldest() -> dict[str, datetime | None]:
        return {one.queue: one.oldest for one in await store.stats()}

    dues = [(later(-3), None, 0), (later(-9), "t-2", 0), (later(-5), "t-1", 10), (later(-4), "t-2", -10)]
    await add(store, *(job(run_at=due, tenant=tenant, priority=priority) for due, tenant, priority in dues))
    await add(store, job(queue="files", run_at=later(-1)), job(queue="late", run_at=later(60)))
    assert await oldest() == {"files": later(-1), "late": None, "mail": later(-9)}
    left = [later(-9), later(-5), later(-4), later(-3)]
    while left:
        assert (await oldest())["mail"] == left[0]
        [claimed] = await claim(store, 1, queue="mail")
        left.remove(claimed.run_at)
    assert (await oldest())["mail"] is None


async def test_the_oldest_of_a_paused_queue_is_known_too(store: Store) -> None:
    await add(store, job(run_at=later(-7)))
    await store.pause("mail", paused=True)
    [stats] = await store.stats()
    assert (stats.paused, stats.oldest) == (True, later(-7))


async def test_what_waits_for_a_limit_is_not_in_line(store: Store) -> None:
    await rule(store, "crm", GateRule(running=1))
    await add(store, job(limits=("crm",)), job(run_at=later(-9), limits=("crm",)))
    assert len(await claim(store)) == 1
    [stats] = await store.stats()
    assert (stats.queued, stats.oldest) == (1, None)


async def test_of_very_many_lines_some_are_looked_at(store: Store) -> None:
    await add(store, *(job(run_at=later(-9), tenant=f"t-{n}") for n in range(2 * MOST_LINES)))
    assert [one.oldest for one in await store.stats()] == [later(-9)]


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
