"""Pruning: what has ended is forgotten in time, what lives never is."""

from __future__ import annotations

import pytest

from lamplighter.core.model import Keep, Verb
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    MANY,
    NOW,
    add,
    claim,
    end,
    ended,
    failure,
    ids_of,
    job,
    later,
    outcome,
    started,
)


async def test_a_job_is_kept_until_its_moment(store: Store) -> None:
    short = await ended(store, keep_until=later(10))
    long, ever = await ended(store, keep_until=later(20)), await ended(store)
    assert await store.prune(Keep(), limit=MANY, now=later(9.999999)) == 0
    assert await ids_of(store) == [ever, long, short]
    assert await store.prune(Keep(), limit=MANY, now=later(10)) == 1
    assert await ids_of(store) == [ever, long]
    assert await store.prune(Keep(), limit=MANY, now=later(1e8)) == 1
    assert await ids_of(store) == [ever]


@pytest.mark.parametrize(("verb", "keep"), [("done", Keep(2, 0)), ("fail", Keep(0, 2)), ("cancel", Keep(0, 2))])
async def test_each_queue_keeps_its_newest(store: Store, verb: Verb, keep: Keep) -> None:
    ids = {
        queue: [await ended(store, verb, new=job(queue=queue)) for _ in range(n)] for queue, n in (("a", 4), ("b", 2))
    }
    assert await store.prune(keep, limit=MANY, now=NOW) == 2
    assert await ids_of(store) == [*reversed(ids["b"]), *reversed(ids["a"][-2:])]


async def test_failed_and_cancelled_jobs_are_counted_apart(store: Store) -> None:
    ids = [await ended(store, verb) for verb in ("fail", "cancel", "fail", "cancel")]
    assert await store.prune(Keep(0, 1), limit=MANY, now=NOW) == 2
    assert await ids_of(store) == [ids[3], ids[2]]


async def test_no_more_than_the_limit_are_forgotten_at_once(store: Store) -> None:
    for n in range(6):
        await ended(store, keep_until=later(1) if n % 2 else None)
    removed = []
    while n := await store.prune(Keep(0, 0), limit=4, now=later(1)):
        removed.append(n)
    assert sum(removed) == 6
    assert max(removed) <= 4


async def test_a_job_that_is_past_its_moment_and_one_too_many_counts_once(store: Store) -> None:
    for keep_until in (later(1), None, None):
        await ended(store, keep_until=keep_until)
    assert await store.prune(Keep(0, 0), limit=2, now=later(1)) == 2
    assert await store.prune(Keep(0, 0), limit=2, now=later(1)) == 1


async def test_live_jobs_are_never_forgotten(store: Store) -> None:
    attempt = await started(store)
    await add(store, job(), job(run_at=later(5)))
    assert await store.prune(Keep(0, 0), limit=MANY, now=later(1e8)) == 0
    assert len(await ids_of(store)) == 3
    assert await store.finish([outcome(attempt, "done")], now=NOW) == [attempt.id]


async def test_a_retried_job_is_no_longer_due_to_be_forgotten(store: Store) -> None:
    attempt = await started(store)
    await end(store, attempt, "retry", run_at=later(1), keep_until=later(2))
    assert await store.prune(Keep(), limit=MANY, now=later(3)) == 0
    await store.sweep(MANY, now=later(3))
    assert len(await claim(store)) == 1


async def test_failures_go_with_their_job(store: Store) -> None:
    attempt = await started(store)
    await end(store, attempt, "fail", failure=failure(attempt), keep_until=later(1))
    await store.prune(Keep(), limit=MANY, now=later(1))
    assert await store.failures(attempt.id) == []
