"""Forgetting: ended jobs go at once, live ones and their children stay."""

from __future__ import annotations

from lamplighter.core.model import Keep, State, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    EVERY,
    MANY,
    NOW,
    add,
    children_of,
    claim,
    end,
    ended,
    failure,
    ids_of,
    job,
    later,
    parent,
    see,
    started,
    unique,
)


async def test_an_ended_job_is_forgotten_long_before_its_time(store: Store) -> None:
    attempt = await started(store)
    await end(store, attempt, "fail", failure=failure(attempt), keep_until=later(1e6))
    assert await store.forget(Where(ids=(attempt.id,)), limit=MANY) == [attempt.id]
    assert await ids_of(store) == []
    assert await store.failures(attempt.id) == []
    assert [one.failed for one in await store.stats()] in ([], [0])


async def test_a_live_job_is_not_forgotten(store: Store) -> None:
    attempt = await started(store)
    await add(store, job(), job(run_at=later(5)), parent(1))
    before = await ids_of(store)
    assert await store.forget(EVERY, limit=MANY) == []
    assert await ids_of(store) == before
    await end(store, attempt, "done")


async def test_only_ended_jobs_that_match_are_forgotten(store: Store) -> None:
    done, failed = await ended(store), await ended(store, "fail")
    other = await ended(store, "fail", new=job(queue="other"))
    assert await store.forget(Where(queues=("mail",), states=(State.FAILED,)), limit=MANY) == [failed]
    assert await ids_of(store) == [other, done]


async def test_the_newest_are_forgotten_first_up_to_the_limit(store: Store) -> None:
    first, second, third = [await ended(store) for _ in range(3)]
    assert await store.forget(EVERY, limit=2) == [third, second]
    assert await store.forget(EVERY, limit=0) == []
    assert await ids_of(store) == [first]


async def test_a_child_stays_while_its_parent_lives(store: Store) -> None:
    held = parent(2)
    first, second = children_of(held, 2)
    await add(store, held, first, second)
    done, failing = await claim(store, 2)
    await end(store, done, "done", keep_until=NOW)
    assert await store.prune(Keep(0, 0), limit=MANY, now=later(1)) == 0
    assert await store.forget(EVERY, limit=MANY) == [], "its parent may still ask how it ended"
    await end(store, failing, "fail", keep_until=later(90))
    await store.sweep(MANY, now=later(1))
    assert (await see(store, held.id)).state is State.FAILED
    assert await store.forget(EVERY, limit=MANY) == [second.id, first.id, held.id]
    assert await store.prune(Keep(0, 0), limit=MANY, now=later(1e6)) == 0


async def test_a_parent_is_forgotten_before_its_children(store: Store) -> None:
    held = parent(2)
    first, second = children_of(held, 2)
    await add(store, held, first, second)
    await store.cancel(Where(ids=(held.id,)), limit=1, now=NOW)
    assert await store.forget(Where(ids=(held.id,)), limit=1) == [held.id]
    assert await ids_of(store) == [second.id, first.id]
    assert len(await claim(store)) == 2


async def test_a_forgotten_job_can_be_added_again(store: Store) -> None:
    new = unique(mode="active")
    await ended(store, new=new)
    await store.forget(EVERY, limit=MANY)
    assert await add(store, new) == [new.id]
    assert (await see(store, new.id)).fence == 0


async def test_a_key_that_outlives_its_job_is_still_held_when_that_is_forgotten(store: Store) -> None:
    id_ = await ended(store, new=unique(mode="period", until=later(60)))
    assert await store.forget(EVERY, limit=MANY) == [id_]
    [added] = await store.add([unique(mode="period", until=later(60))], now=later(1))
    assert (added.id, added.created) == (id_, False)
