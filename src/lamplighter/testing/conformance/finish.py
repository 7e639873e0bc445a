"""Finishing: how an attempt ended is recorded once, and only for the worker that still holds it."""

from __future__ import annotations

import pytest

from lamplighter.core.model import Outcome, State, Verb, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
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
    see,
    started,
)


async def test_a_done_job_keeps_its_result(store: Store) -> None:
    attempt = await started(store)
    await end(store, attempt, "done", now=later(2), result='{"ok": true}', keep_until=later(60))
    view = await see(store, attempt.id)
    assert (view.state, view.result, view.ended_at, view.keep_until) == (
        State.DONE,
        '{"ok": true}',
        later(2),
        later(60),
    )
    assert (view.worker, view.started_at, view.lease_until, view.failures) == ("w-1", NOW, None, 0)


async def test_a_failed_job_says_why(store: Store) -> None:
    attempt = await started(store)
    await end(store, attempt, "fail", reason="gave up", failure=failure(attempt))
    view = await see(store, attempt.id)
    assert (view.state, view.reason, view.failures) == (State.FAILED, "gave up", 1)
    assert await store.failures(attempt.id) == [failure(attempt)]


async def test_a_job_that_cancels_itself_ends_cancelled(store: Store) -> None:
    id_ = await ended(store, "cancel", reason="no longer wanted")
    view = await see(store, id_)
    assert (view.state, view.reason, view.failures) == (State.CANCELLED, "no longer wanted", 0)


@pytest.mark.parametrize(("verb", "failures"), [("retry", 1), ("snooze", 0)])
async def test_a_job_comes_back_at_its_time(store: Store, verb: Verb, failures: int) -> None:
    id_ = await ended(store, verb, run_at=later(5))
    view = await see(store, id_)
    assert (view.state, view.run_at, view.failures) == (State.SCHEDULED, later(5), failures)
    assert (view.worker, view.started_at, view.lease_until, view.ended_at) == (None, None, None, None)


async def test_a_job_that_comes_back_in_the_past_waits_for_the_sweep(store: Store) -> None:
    id_ = await ended(store, "retry", run_at=later(-5))
    assert (await see(store, id_)).state is State.SCHEDULED
    assert (await store.sweep(10, now=NOW)).due == 1


async def test_a_released_job_takes_its_old_place(store: Store) -> None:
    old = await started(store, job(run_at=later(-9)))
    await add(store, new := job(run_at=later(-1)))
    await end(store, old, "release")
    assert (await see(store, old.id)).run_at == later(-9)
    assert [(attempt.id, attempt.failures) for attempt in await claim(store)] == [(old.id, 0), (new.id, 0)]


async def test_the_next_attempt_knows_how_many_failed(store: Store) -> None:
    await ended(store, "retry", run_at=NOW)
    await store.sweep(10, now=NOW)
    [attempt] = await claim(store)
    assert (attempt.fence, attempt.failures) == (2, 1)


@pytest.mark.parametrize("verb", ["done", "fail", "retry", "snooze", "release", "cancel"])
async def test_an_attempt_that_lost_its_lease_changes_nothing(store: Store, verb: Verb) -> None:
    lost = await started(store)
    await end(store, lost, "release")
    [current] = await claim(store, now=later(1))
    before = await see(store, current.id)
    late = outcome(lost, verb, run_at=later(9), result="1", failure=failure(lost), keep_until=NOW)
    assert await store.finish([late], now=later(2)) == []
    assert await see(store, current.id) == before
    assert await store.failures(current.id) == []


async def test_a_lost_and_a_current_attempt_at_one_job_are_told_apart_in_one_batch(store: Store) -> None:
    lost = await started(store)
    await end(store, lost, "release")
    [current] = await claim(store)
    outcomes = [outcome(lost, "fail", failure=failure(lost)), outcome(current, "done", result="2")]
    assert await store.finish(outcomes, now=NOW) == [current.id]
    view = await see(store, current.id)
    assert (view.state, view.result, view.failures) == (State.DONE, "2", 0)
    assert await store.failures(current.id) == []


async def test_the_first_of_two_outcomes_of_one_attempt_wins(store: Store) -> None:
    attempt = await started(store)
    outcomes = [outcome(attempt, "done", result="1"), outcome(attempt, "fail", reason="no")]
    assert await store.finish(outcomes, now=NOW) == [attempt.id]
    assert (await see(store, attempt.id)).state is State.DONE
    assert await store.finish(outcomes, now=later(1)) == []


async def test_what_never_ran_cannot_be_finished(store: Store) -> None:
    queued, scheduled = await add(store, job(), job(run_at=later(9)))
    outcomes = [Outcome(id=id_, fence=0, verb="done") for id_ in (queued, scheduled, "none such")]
    assert await store.finish(outcomes, now=NOW) == []
    assert await store.finish([], now=NOW) == []


async def test_a_batch_may_end_in_many_ways(store: Store) -> None:
    verbs: list[Verb] = ["done", "fail", "retry", "snooze", "release", "cancel"]
    await add(store, *(job() for _ in verbs))
    attempts = await claim(store)
    outcomes = [outcome(attempt, verb, run_at=later(9)) for attempt, verb in zip(attempts, verbs, strict=True)]
    outcomes[4] = outcome(attempts[4], "release")
    assert await store.finish(outcomes, now=NOW) == [attempt.id for attempt in attempts]
    assert [(await see(store, attempt.id)).state.value for attempt in attempts] == [
        "done", "failed", "scheduled", "scheduled", "queued", "cancelled"
    ]  # fmt: skip


@pytest.mark.parametrize(("verb", "failures"), [("retry", 1), ("snooze", 0), ("release", 0)])
async def test_a_job_asked_to_stop_does_not_come_back(store: Store, verb: Verb, failures: int) -> None:
    attempt = await started(store)
    await store.cancel(Where(ids=(attempt.id,)), limit=1, now=NOW)
    await end(store, attempt, verb, run_at=later(5))
    view = await see(store, attempt.id)
    assert (view.state, view.reason, view.failures) == (State.CANCELLED, "asked to stop", failures)
    assert (view.stopping, view.ended_at) == (False, NOW)


@pytest.mark.parametrize(("verb", "state"), [("done", State.DONE), ("fail", State.FAILED)])
async def test_a_job_asked_to_stop_may_end_first(store: Store, verb: Verb, state: State) -> None:
    attempt = await started(store)
    await store.cancel(EVERY, limit=1, now=NOW)
    await end(store, attempt, verb)
    assert (await see(store, attempt.id)).state is state


async def test_a_job_that_need_not_be_kept_is_forgotten_at_once(store: Store) -> None:
    attempt = await started(store)
    await end(store, attempt, "fail", failure=failure(attempt), keep_until=NOW)
    assert await ids_of(store) == []
    assert await store.failures(attempt.id) == []
    assert all(stats.failed == 0 for stats in await store.stats())


async def test_failures_are_kept_oldest_first_and_only_the_last_twenty(store: Store) -> None:
    await add(store, job())
    for n in range(23):
        [attempt] = await claim(store)
        await end(store, attempt, "retry", run_at=NOW, failure=failure(attempt, f"try {n}", at=later(n)))
        await store.sweep(1, now=NOW)
    kept = await store.failures(attempt.id)
    assert [one.message for one in kept] == [f"try {n}" for n in range(3, 23)]
    assert (kept[-1].fence, kept[-1].at) == (23, later(22))


async def test_a_job_that_never_failed_has_no_failures(store: Store) -> None:
    assert await store.failures("none such") == []
