"""Unique keys: at most one job holds one, for as long as its mode says."""

from __future__ import annotations

import pytest

from lamplighter.core.model import Added, Keep, NewJob, UniqueMode, Verb, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    end,
    ended,
    ids_of,
    job,
    later,
    outcome,
    started,
    unique,
)

MODES: list[UniqueMode] = ["pending", "active", "period"]


def keyed(mode: UniqueMode, *, parent: str | None = None) -> NewJob:
    return unique(mode=mode, until=later(60) if mode == "period" else None, parent=parent)


async def refused(store: Store, mode: UniqueMode, holder: str) -> None:
    assert await store.add([keyed(mode)], now=NOW) == [Added(holder, created=False)]


@pytest.mark.parametrize("mode", MODES)
async def test_a_second_job_under_a_held_key_is_answered_with_the_first(store: Store, mode: UniqueMode) -> None:
    [holder] = await add(store, keyed(mode))
    await refused(store, mode, holder)
    assert await ids_of(store) == [holder]


@pytest.mark.parametrize("mode", MODES)
async def test_the_first_of_a_batch_gets_the_key(store: Store, mode: UniqueMode) -> None:
    first, second, other = keyed(mode), keyed(mode), job()
    added = await store.add([first, second, other], now=NOW)
    assert added == [Added(first.id, created=True), Added(first.id, created=False), Added(other.id, created=True)]
    assert await ids_of(store) == [other.id, first.id]


async def test_different_keys_do_not_meet(store: Store) -> None:
    assert len(await add(store, unique("a"), unique("A"), unique("a "))) == 3


@pytest.mark.parametrize("mode", MODES)
async def test_adding_the_holder_again_changes_nothing(store: Store, mode: UniqueMode) -> None:
    new = keyed(mode)
    await add(store, new)
    await add(store, new)
    await refused(store, mode, new.id)


async def test_a_pending_key_is_free_once_its_job_starts(store: Store) -> None:
    await started(store, keyed("pending"))
    await add(store, keyed("pending"))


@pytest.mark.parametrize("mode", ["active", "period"])
async def test_an_active_or_period_key_is_held_while_its_job_runs(store: Store, mode: UniqueMode) -> None:
    attempt = await started(store, keyed(mode))
    await refused(store, mode, attempt.id)


@pytest.mark.parametrize("verb", ["done", "fail", "cancel"])
async def test_an_active_key_is_free_once_its_job_ended(store: Store, verb: Verb) -> None:
    await ended(store, verb, new=keyed("active"))
    await add(store, keyed("active"))


async def test_an_active_key_is_free_once_its_job_is_forgotten(store: Store) -> None:
    await ended(store, new=keyed("active"), keep_until=NOW)
    await add(store, keyed("active"))


@pytest.mark.parametrize("verb", ["retry", "snooze", "release"])
async def test_an_active_key_is_held_between_attempts(store: Store, verb: Verb) -> None:
    holder = await ended(store, verb, new=keyed("active"), run_at=later(5))
    await refused(store, "active", holder)


@pytest.mark.parametrize("mode", ["pending", "active"])
async def test_a_cancelled_job_lets_go_of_its_key(store: Store, mode: UniqueMode) -> None:
    await add(store, keyed(mode))
    await store.cancel(EVERY, limit=1, now=NOW)
    await add(store, keyed(mode))


async def test_a_period_key_outlives_its_job(store: Store) -> None:
    holder = await ended(store, new=keyed("period"), keep_until=NOW)
    assert await ids_of(store) == []
    late = unique(mode="period", until=later(120))
    assert await store.add([late], now=later(59.999999)) == [Added(holder, created=False)]
    await add(store, late, now=later(60))


async def test_a_period_key_is_free_after_its_period_though_its_job_waits(store: Store) -> None:
    await add(store, keyed("period"))
    await add(store, keyed("period"), now=later(60))


async def test_pruning_drops_no_key_that_is_held(store: Store) -> None:
    [active] = await add(store, unique("active", mode="active"))
    [period] = await add(store, keyed("period"))
    await store.prune(Keep(), limit=MANY, now=later(59))
    again = [unique("active", mode="active"), keyed("period")]
    assert [one.id for one in await store.add(again, now=NOW)] == [active, period]
    await store.prune(Keep(), limit=MANY, now=later(60))
    await add(store, keyed("period"))


@pytest.mark.parametrize("mode", MODES)
async def test_a_running_job_hands_its_key_to_its_successor(store: Store, mode: UniqueMode) -> None:
    attempt = await started(store, keyed(mode))
    [successor] = await add(store, keyed(mode, parent=attempt.id))
    await end(store, attempt, "done")
    await refused(store, mode, successor)


async def test_only_its_own_successor_gets_a_key_from_a_running_job_though_others_ask_first(store: Store) -> None:
    attempt = await started(store, keyed("active"))
    other, successor = keyed("active"), keyed("active", parent=attempt.id)
    added = await store.add([other, successor], now=NOW)
    assert added == [Added(attempt.id, created=False), Added(successor.id, created=True)]
    assert await ids_of(store) == [successor.id, attempt.id]


async def test_successors_of_several_jobs_each_get_the_key_of_their_own(store: Store) -> None:
    attempts = [await started(store, unique(f"key {n}", mode="active")) for n in range(3)]
    mine = [unique(f"key {n}", mode="active", parent=attempts[n].id) for n in (2, 0)]
    another = unique("key 1", mode="active", parent=attempts[0].id)
    added = await store.add([mine[0], another, mine[1]], now=NOW)
    assert [one.created for one in added] == [True, False, True]
    assert added[1].id == attempts[1].id


async def test_a_parent_that_does_not_hold_the_key_hands_on_nothing(store: Store) -> None:
    parent = await started(store)
    [holder] = await add(store, keyed("active"))
    assert await store.add([keyed("active", parent=parent.id)], now=NOW) == [Added(holder, created=False)]


async def test_adding_a_successor_again_does_not_take_a_key_its_parent_holds_anew(store: Store) -> None:
    attempt = await started(store, keyed("active"))
    await add(store, successor := keyed("active", parent=attempt.id))
    await store.cancel(Where(ids=(successor.id,)), limit=1, now=NOW)
    await end(store, attempt, "done")
    await store.retry(Where(ids=(attempt.id,)), limit=1, now=NOW)
    await refused(store, "active", attempt.id)
    await add(store, successor)
    await refused(store, "active", attempt.id)


@pytest.mark.parametrize("verb", ["retry", "snooze", "release"])
async def test_a_job_that_comes_back_takes_its_pending_key_again(store: Store, verb: Verb) -> None:
    id_ = await ended(store, verb, new=keyed("pending"), run_at=later(5))
    await refused(store, "pending", id_)


async def test_a_rescued_job_takes_its_pending_key_again(store: Store) -> None:
    attempt = await started(store, keyed("pending"))
    await store.sweep(1, now=NOW + LEASE)
    await refused(store, "pending", attempt.id)


async def test_a_job_whose_pending_key_was_taken_comes_back_all_the_same(store: Store) -> None:
    attempt = await started(store, keyed("pending"))
    [other] = await add(store, keyed("pending"))
    await end(store, attempt, "release")
    await refused(store, "pending", other)
    both = await claim(store)
    assert [one.id for one in both] == [attempt.id, other]
    await add(store, keyed("pending"))


async def test_a_job_without_its_key_lets_go_of_no_one_elses(store: Store) -> None:
    attempt = await started(store, keyed("pending"))
    [other] = await add(store, keyed("pending"))
    await end(store, attempt, "release")
    [again] = await claim(store, 1)
    assert await store.finish([outcome(again, "done")], now=NOW) == [attempt.id]
    await refused(store, "pending", other)


@pytest.mark.parametrize("mode", ["pending", "active"])
async def test_a_job_that_an_operator_retries_takes_its_key_again(store: Store, mode: UniqueMode) -> None:
    id_ = await ended(store, "fail", new=keyed(mode))
    await store.retry(EVERY, limit=1, now=NOW)
    await refused(store, mode, id_)


@pytest.mark.parametrize("mode", ["pending", "active"])
async def test_a_job_that_an_operator_retries_runs_though_its_key_was_taken(store: Store, mode: UniqueMode) -> None:
    id_ = await ended(store, "fail", new=keyed(mode))
    [other] = await add(store, keyed(mode))
    assert await store.retry(EVERY, limit=1, now=NOW) == [id_]
    await refused(store, mode, other)
    assert {attempt.id for attempt in await claim(store)} == {id_, other}


@pytest.mark.parametrize("mode", ["pending", "active"])
async def test_of_jobs_that_an_operator_retries_the_newest_takes_the_key(store: Store, mode: UniqueMode) -> None:
    older, newer = await ended(store, "fail", new=keyed(mode)), await ended(store, "fail", new=keyed(mode))
    assert await store.retry(EVERY, limit=MANY, now=NOW) == [newer, older]
    await refused(store, mode, newer)


async def test_a_batch_frees_and_takes_keys_in_its_order(store: Store) -> None:
    waiting = await started(store, keyed("pending"))
    holder = await started(store, keyed("active"))
    batch = [outcome(waiting, "release"), outcome(holder, "done")]
    assert await store.finish(batch, now=NOW) == [waiting.id, holder.id]
    await add(store, keyed("pending"))


async def test_a_job_that_comes_back_takes_a_key_whose_period_is_over(store: Store) -> None:
    attempt = await started(store, keyed("pending"))
    await add(store, keyed("period"))
    await end(store, attempt, "release", now=later(60))
    assert await store.add([keyed("pending")], now=later(60)) == [Added(attempt.id, created=False)]
