"""Pausing: no claims on a queue, until it is let go on."""

from __future__ import annotations

from lamplighter.core.model import QueueStats
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import NOW, OpenAgain, add, claim, end, job, later, started


async def test_a_paused_queue_keeps_its_jobs(store: Store) -> None:
    _, other = await add(store, job(), job(queue="other"))
    await store.pause("mail", paused=True)
    assert [attempt.id for attempt in await claim(store)] == [other]
    assert await claim(store, queue="mail") == []


async def test_a_queue_goes_on_where_it_stopped(store: Store) -> None:
    [id_] = await add(store, job())
    await store.pause("mail", paused=True)
    await store.pause("mail", paused=True)
    await store.pause("mail", paused=False)
    assert [attempt.id for attempt in await claim(store)] == [id_]


async def test_running_jobs_of_a_paused_queue_go_on(store: Store) -> None:
    attempt = await started(store)
    await store.pause("mail", paused=True)
    await end(store, attempt, "done")


async def test_jobs_of_a_paused_queue_still_come_due(store: Store) -> None:
    await store.pause("mail", paused=True)
    await add(store, job(run_at=later(1)))
    assert (await store.sweep(10, now=later(1))).due == 1
    assert await claim(store) == []


async def test_a_pause_is_seen_by_all_handles_and_in_the_stats(store: Store, open_again: OpenAgain) -> None:
    await store.pause("mail", paused=True)
    async with open_again() as twin:
        assert await twin.stats() == [QueueStats(queue="mail", paused=True)]
        await twin.add([job()], now=NOW)
        assert await claim(twin) == []
