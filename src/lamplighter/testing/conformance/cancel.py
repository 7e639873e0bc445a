"""Cancelling: waiting jobs end, running ones are asked to stop."""

from __future__ import annotations

from lamplighter.core.model import Cancelled, Keep, State, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    ended,
    ids_of,
    job,
    later,
    see,
    started,
)


async def test_a_waiting_job_ends_at_once(store: Store) -> None:
    queued, scheduled = await add(store, job(), job(run_at=later(60)))
    cancelled = await store.cancel(EVERY, limit=MANY, now=later(1), keep_until=later(90))
    assert cancelled == Cancelled([scheduled, queued], [])
    for id_ in (queued, scheduled):
        view = await see(store, id_)
        assert (view.state, view.reason, view.worker) == (State.CANCELLED, "cancelled", None)
        assert (view.ended_at, view.keep_until) == (later(1), later(90))
    assert await claim(store) == []


async def test_a_running_job_is_asked_to_stop_and_runs_on(store: Store) -> None:
    attempt = await started(store)
    assert await store.cancel(EVERY, limit=MANY, now=NOW) == Cancelled([], [attempt.id])
    view = await see(store, attempt.id)
    assert (view.state, view.stopping, view.ended_at) == (State.RUNNING, True, None)


async def test_an_ended_job_stays_as_it_ended(store: Store) -> None:
    id_ = await ended(store)
    assert await store.cancel(EVERY, limit=MANY, now=NOW) == Cancelled([], [])
    assert (await see(store, id_)).state is State.DONE


async def test_only_what_matches_is_cancelled(store: Store) -> None:
    await add(store, job(), job(queue="other"), mine := job(queue="other", tenant="t-1"))
    where = Where(queues=("other",), tenants=("t-1",))
    assert await store.cancel(where, limit=MANY, now=NOW) == Cancelled([mine.id], [])


async def test_the_newest_are_cancelled_first_up_to_the_limit(store: Store) -> None:
    first, second, third = await add(store, job(), job(), job())
    assert await store.cancel(EVERY, limit=2, now=NOW) == Cancelled([third, second], [])
    assert (await see(store, first)).state is State.QUEUED


async def test_up_to_none_means_none(store: Store) -> None:
    await ended(store, keep_until=NOW + LEASE)
    await started(store)
    await add(store, job(), job(run_at=later(1)))
    before = await store.page(EVERY, limit=MANY)
    assert await store.cancel(EVERY, limit=0, now=NOW) == Cancelled([], [])
    assert await store.retry(EVERY, limit=0, now=NOW) == []
    assert await store.prune(Keep(0, 0), limit=0, now=NOW + LEASE) == 0
    assert (await store.sweep(0, now=NOW + LEASE))[:2] == (0, [])
    assert await store.page(EVERY, limit=0) == []
    assert await store.page(EVERY, limit=MANY) == before


async def test_a_cancelled_job_that_need_not_be_kept_is_forgotten(store: Store) -> None:
    await add(store, job())
    await store.cancel(EVERY, limit=MANY, now=NOW, keep_until=NOW)
    assert await ids_of(store) == []
