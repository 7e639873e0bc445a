"""Replacing: a job that waits under a unique key goes on with what a newcomer brings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from lamplighter.core.model import Added, JobView, NewJob, State, Swept, Unique, UniqueMode, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
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
    see,
    started,
    unique,
)
from lamplighter.testing.conformance.unique import MODES, keyed


def brings(mode: UniqueMode = "active", **changes: Any) -> NewJob:
    """A job that replaces what waits under its key."""
    until = later(60) if mode == "period" else None
    return unique(mode=mode, until=until, replaces=True, **{"args": "[2]", "priority": 5, **changes})


async def replaces(store: Store, holder: str, new: NewJob, *, now: datetime = NOW) -> JobView:
    """The holder, after a job has replaced it."""
    assert await store.add([new], now=now) == [Added(holder, created=False, replaced=True)]
    return await see(store, holder)


async def keeps(store: Store, holder: str, new: NewJob, *, now: datetime = NOW) -> None:
    """A job that would replace is answered with the holder, and changes nothing."""
    before = await store.page(EVERY, limit=MANY)
    assert await store.add([new], now=now) == [Added(holder, created=False, replaced=False)]
    assert await store.page(EVERY, limit=MANY) == before


@pytest.mark.parametrize("mode", MODES)
async def test_a_job_that_replaces_gives_the_waiting_holder_its_arguments_priority_and_time(
    store: Store, mode: UniqueMode
) -> None:
    [holder] = await add(store, keyed(mode))
    before = await see(store, holder)
    new = brings(mode, run_at=later(9), tenant="t-2", queue="other")
    after = await replaces(store, holder, new, now=later(1))
    changed = structs.replace(before, args="[2]", priority=5, run_at=later(9), state=State.SCHEDULED)
    assert after == changed
    assert await ids_of(store) == [holder]


async def test_a_replaced_job_moves_between_scheduled_and_queued_as_its_time_says(store: Store) -> None:
    [holder] = await add(store, unique(mode="active", run_at=later(60)))
    for run_at, state in [(NOW, State.QUEUED), (later(5), State.SCHEDULED), (later(-5), State.QUEUED)]:
        assert (await replaces(store, holder, brings(run_at=run_at))).state is state
        assert [getattr(stats, state) for stats in await store.stats()] == [1]
        assert await store.sweep(MANY, now=NOW) == Swept(0, [], run_at if state is State.SCHEDULED else None)
    [attempt] = await claim(store)
    assert (attempt.id, attempt.args, attempt.priority, attempt.run_at) == (holder, "[2]", 5, later(-5))


async def test_a_replaced_job_comes_due_at_its_new_time_only(store: Store) -> None:
    [holder] = await add(store, unique(mode="active", run_at=later(5)))
    await replaces(store, holder, brings(run_at=later(10)))
    assert await store.sweep(MANY, now=later(9)) == Swept(0, [], later(10))
    assert await claim(store, now=later(9)) == []
    assert await store.sweep(MANY, now=later(10)) == Swept(1, [], None)
    assert [attempt.id for attempt in await claim(store, now=later(10))] == [holder]


async def test_a_replaced_job_stands_in_line_by_its_new_priority_and_time(store: Store) -> None:
    holder, other, urgent = await add(store, unique(mode="active"), job(), job(priority=9))
    await replaces(store, holder, brings(run_at=later(-1)))
    assert [attempt.id for attempt in await claim(store)] == [urgent, holder, other]


@pytest.mark.parametrize("priority", [-1, 1])
async def test_a_replaced_job_stands_by_its_new_priority_among_those_of_other_queues(
    store: Store, priority: int
) -> None:
    holder, other = await add(store, unique(mode="active"), job(queue="other"))
    await replaces(store, holder, brings(priority=priority))
    first = holder if priority > 0 else other
    assert [attempt.id for attempt in await claim(store, 1)] == [first]


async def test_what_replaces_does_not_run_itself_and_may_be_told_by_its_id_no_more(store: Store) -> None:
    [holder] = await add(store, keyed("active"))
    new = brings()
    await replaces(store, holder, new)
    assert await store.page(Where(ids=(new.id,)), limit=1) == []
    assert [attempt.id for attempt in await claim(store)] == [holder]


async def test_a_job_that_replaces_is_added_if_nobody_holds_its_key(store: Store) -> None:
    [id_] = await add(store, brings("active"))
    assert (await see(store, id_)).unique == Unique("the key", "active")


async def test_adding_a_job_that_replaces_again_changes_nothing(store: Store) -> None:
    await add(store, first := brings(args="[1]"))
    after = await replaces(store, first.id, brings())
    assert await store.add([first], now=NOW) == [Added(first.id, created=True)]
    assert await see(store, first.id) == after


@pytest.mark.parametrize("mode", ["active", "period"])
async def test_a_running_holder_is_not_replaced(store: Store, mode: UniqueMode) -> None:
    attempt = await started(store, keyed(mode))
    await keeps(store, attempt.id, brings(mode))


async def test_an_ended_holder_is_not_replaced(store: Store) -> None:
    await keeps(store, await ended(store, new=keyed("period")), brings("period"))
    forgotten = await ended(store, new=unique("l", mode="period", until=later(60)), keep_until=NOW)
    await keeps(store, forgotten, brings(key="l"))


async def test_a_job_that_has_started_under_a_pending_key_is_not_replaced_but_followed(store: Store) -> None:
    attempt = await started(store, keyed("pending"))
    [second] = await add(store, brings("pending"))
    assert (await see(store, attempt.id)).args == "{}"
    await replaces(store, second, brings("pending", args="[3]"))


async def test_a_holder_of_another_name_is_not_replaced_for_the_arguments_are_not_its_own(store: Store) -> None:
    [holder] = await add(store, keyed("active"))
    await keeps(store, holder, brings(name="another"))


async def test_a_holder_that_came_back_is_replaced_and_its_failures_stay(store: Store) -> None:
    attempt = await started(store, keyed("active"))
    await end(store, attempt, "retry", run_at=later(5), failure=failure(attempt))
    after = await replaces(store, attempt.id, brings(run_at=later(9)))
    assert (after.failures, after.fence, after.args, after.run_at) == (1, 1, "[2]", later(9))
    assert len(await store.failures(attempt.id)) == 1
    await store.sweep(MANY, now=later(9))
    [again] = await claim(store, now=later(9))
    assert (again.fence, again.failures, again.args) == (2, 1, "[2]")
    assert await store.finish([outcome(attempt, "done")], now=later(9)) == []


async def test_a_parent_hands_its_key_on_to_a_job_that_would_replace(store: Store) -> None:
    attempt = await started(store, keyed("active"))
    [successor] = await add(store, brings(parent=attempt.id))
    await end(store, attempt, "done")
    await replaces(store, successor, brings(args="[3]"))


async def test_of_a_batch_the_later_replace_the_earlier(store: Store) -> None:
    first, second, third = brings(args="[1]"), brings(args="[2]"), brings(args="[3]", run_at=later(9))
    added = await store.add([first, job(), second, third, keyed("active")], now=NOW)
    assert [one[1:] for one in added] == [(True, False), (True, False), (False, True), (False, True), (False, False)]
    assert {one.id for one in added} == {first.id, added[1].id}
    after = await see(store, first.id)
    assert (after.args, after.run_at, after.state) == ("[3]", later(9), State.SCHEDULED)
    assert [(stats.queued, stats.scheduled) for stats in await store.stats()] == [(1, 1)]


async def test_a_batch_replaces_what_waits_once_for_all(store: Store) -> None:
    holders = await add(store, *(unique(key, mode="active", run_at=later(5)) for key in "ab"))
    batch = [brings(key=key, args=args, run_at=at) for args, at in (("[1]", NOW), ("[2]", later(7))) for key in "ab"]
    assert await store.add(batch, now=NOW) == [Added(id_, created=False, replaced=True) for id_ in holders * 2]
    views = await store.page(EVERY, limit=MANY)
    assert [(view.args, view.run_at) for view in views] == [("[2]", later(7))] * 2
    assert [(stats.queued, stats.scheduled) for stats in await store.stats()] == [(0, 2)]


async def test_a_debounced_job_is_put_off_but_no_longer_than_it_may_be(store: Store) -> None:
    debounced: dict[str, Any] = {"debounce_for": timedelta(seconds=25)}
    [holder] = await add(store, brings(run_at=later(10), **debounced))
    for now, run_at in [(5, 15), (14, 24), (20, 25), (24, 25)]:
        new = brings(args=f"[{now}]", run_at=later(now + 10), **debounced)
        after = await replaces(store, holder, new, now=later(now))
        assert (after.args, after.run_at, after.state) == (f"[{now}]", later(run_at), State.SCHEDULED)
    late = await replaces(store, holder, brings(run_at=later(40), **debounced), now=later(30))
    assert (late.run_at, late.state) == (later(25), State.QUEUED)


async def test_a_debounced_job_that_has_a_past_is_put_off_since_its_creation(store: Store) -> None:
    [holder] = await add(store, unique(mode="active", created_at=later(-20)))
    after = await replaces(store, holder, brings(run_at=later(10), debounce_for=timedelta(seconds=25)))
    assert (after.run_at, after.created_at) == (later(5), later(-20))


async def test_a_replaced_job_has_what_any_text_holds(store: Store) -> None:
    [holder] = await add(store, unique(mode="active", tenant="tenänt"))
    args = '{"text": "' + "ü🏮" * 5000 + '"}'
    assert (await replaces(store, holder, brings(args=args))).args == args
    [attempt] = await claim(store)
    assert (attempt.args, attempt.tenant) == (args, "tenänt")
