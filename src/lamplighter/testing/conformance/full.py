"""Bounds on how many jobs wait: what does not fit is refused, or pushes out the oldest."""

from __future__ import annotations

import pytest

from lamplighter.core.errors import QueueFull
from lamplighter.core.flow_control import QueueRule
from lamplighter.core.model import State, Unique, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import MANY, NOW, add, claim, ids_of, job, later, rule, see


async def test_a_full_queue_refuses_more(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=3))
    known = await add(store, job(), job(run_at=later(60)))
    with pytest.raises(QueueFull, match=r"the queue 'mail' takes 3 waiting jobs"):
        await store.add([job(), job()], now=NOW)
    assert await ids_of(store) == known[::-1], "nothing of the batch was added"
    await add(store, job())


async def test_a_refused_batch_takes_no_keys(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=1))
    with pytest.raises(QueueFull):
        await store.add([job(unique=Unique("k", "active")), job()], now=NOW)
    await add(store, job(unique=Unique("k", "active")))


async def test_jobs_that_run_or_ended_fill_no_queue(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=2))
    await add(store, job(), job())
    await claim(store)
    await add(store, job(), job())


async def test_other_queues_are_not_bounded(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=1))
    await add(store, *(job(queue="other") for _ in range(3)))


async def test_a_tenant_has_a_bound_of_its_own(store: Store) -> None:
    await rule(store, "mail", QueueRule(most_per_tenant=2))
    await add(store, *(job(tenant=tenant) for tenant in "aab"))
    with pytest.raises(QueueFull, match="of tenant 'a'"):
        await store.add([job(tenant="a")], now=NOW)
    await add(store, job(tenant="b"), job())


async def test_adding_known_jobs_again_is_no_more(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=2))
    batch = [job(), job()]
    await add(store, *batch)
    await add(store, *batch)


async def test_the_oldest_make_room_where_that_is_wanted(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=3, drop=True))
    first, second, third = await add(store, job(), job(run_at=later(60)), job())
    added = await add(store, job(), job())
    assert await ids_of(store, Where(states=(State.QUEUED, State.SCHEDULED))) == [*added[::-1], third]
    for dropped in (first, second):
        view = await see(store, dropped)
        assert (view.state, view.reason) == (
            State.CANCELLED,
            "dropped: its queue was full, and it was the oldest that waited",
        )


async def test_only_jobs_of_the_tenant_make_room_for_the_tenants(store: Store) -> None:
    await rule(store, "mail", QueueRule(most_per_tenant=1, drop=True))
    _, other = await add(store, job(tenant="a"), job(tenant="b"))
    [newest] = await add(store, job(tenant="a"))
    assert await ids_of(store, Where(states=(State.QUEUED,))) == [newest, other]


async def test_a_dropped_job_gives_its_key_back(store: Store) -> None:
    await rule(store, "mail", QueueRule(most=1, drop=True))
    await add(store, job(unique=Unique("k", "active")))
    await add(store, job())
    await add(store, job(unique=Unique("k", "active")))
    assert len(await claim(store, MANY)) == 1
