"""Retrying by an operator's hand: a clean slate, but never an old fence."""

from __future__ import annotations

import pytest

from lamplighter.core.model import State, Verb, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    MANY,
    NOW,
    add,
    claim,
    ended,
    failure,
    job,
    later,
    outcome,
    see,
    started,
)


@pytest.mark.parametrize("verb", ["done", "fail", "cancel"])
async def test_an_ended_job_is_queued_anew(store: Store, verb: Verb) -> None:
    new = job(args="[1]", tenant="t-1", priority=10)
    id_ = await ended(store, verb, new=new, result="1", reason="because", keep_until=later(60))
    assert await store.retry(EVERY, limit=MANY, now=later(5)) == [id_]
    view = await see(store, id_)
    assert (view.state, view.run_at, view.created_at) == (State.QUEUED, later(5), NOW)
    assert (view.failures, view.crashes, view.fence) == (0, 0, 1)
    assert (view.worker, view.started_at, view.ended_at, view.keep_until, view.result, view.reason) == (None,) * 6
    assert (view.args, view.tenant, view.priority) == ("[1]", "t-1", 10)


async def test_the_fence_never_goes_back(store: Store) -> None:
    old = await started(store)
    await store.finish([outcome(old, "fail")], now=NOW)
    await store.retry(EVERY, limit=MANY, now=NOW)
    [attempt] = await claim(store)
    assert attempt.fence == 2
    assert await store.finish([outcome(old, "done")], now=NOW) == []


async def test_what_failed_before_can_still_be_read(store: Store) -> None:
    attempt = await started(store)
    await store.finish([outcome(attempt, "fail", failure=failure(attempt))], now=NOW)
    await store.retry(EVERY, limit=MANY, now=NOW)
    assert await store.failures(attempt.id) == [failure(attempt)]


async def test_a_scheduled_job_need_not_wait(store: Store) -> None:
    id_ = await ended(store, "retry", run_at=later(3600))
    assert await store.retry(EVERY, limit=MANY, now=later(1)) == [id_]
    [attempt] = await claim(store, now=later(1))
    assert (attempt.id, attempt.run_at, attempt.failures) == (id_, later(1), 0)


async def test_queued_and_running_jobs_are_left_alone(store: Store) -> None:
    await started(store)
    await add(store, job())
    before = await store.page(EVERY, limit=MANY)
    assert await store.retry(EVERY, limit=MANY, now=later(1)) == []
    assert await store.retry(Where(states=(State.RUNNING, State.QUEUED)), limit=MANY, now=later(1)) == []
    assert await store.page(EVERY, limit=MANY) == before


async def test_the_newest_of_what_matches_are_retried_up_to_the_limit(store: Store) -> None:
    oldest, middle, _ = [await ended(store, verb) for verb in ("fail", "fail", "done")]
    [newest] = await add(store, job(run_at=later(60)))
    where = Where(states=(State.FAILED, State.SCHEDULED))
    assert await store.retry(where, limit=2, now=NOW) == [newest, middle]
    assert (await see(store, oldest)).state is State.FAILED
