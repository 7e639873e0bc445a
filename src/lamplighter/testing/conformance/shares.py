"""Fair sharing: the tenants of a queue take turns, by weight, whoever has how many jobs."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from lamplighter.core.flow_control import QueueRule, ShareView, TenantRule
from lamplighter.core.model import Claimed, Keep
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import MANY, NOW, add, claim, job, later, outcome, rule


def jobs_of(tenant: str | None, n: int, **changes: object) -> list[object]:
    return [job(tenant=tenant, **changes) for _ in range(n)]  # type: ignore[arg-type]


async def fill(store: Store, **numbers: int) -> None:
    """So many jobs of each tenant, one tenant after the other."""
    for tenant, n in numbers.items():
        await add(store, *(job(tenant=tenant) for _ in range(n)))


def tenants(attempts: list[Claimed]) -> str:
    return " ".join(attempt.tenant or "-" for attempt in attempts)


async def test_tenants_take_turns(store: Store) -> None:
    await fill(store, a=4, b=2, c=1)
    assert tenants(await claim(store, 6)) == "a b c a b a"


async def test_a_tenant_with_one_job_goes_before_the_rest_of_one_with_many(store: Store) -> None:
    await fill(store, a=500)
    await claim(store, 100)
    await fill(store, b=1)
    assert tenants(await claim(store, 2)) == "b a"


async def test_jobs_without_a_tenant_share_like_a_tenant(store: Store) -> None:
    await fill(store, a=3)
    await add(store, job(), job(), job())
    assert tenants(await claim(store, 4)) == "- a - a"


async def test_a_tenants_jobs_go_by_their_time(store: Store) -> None:
    second, first = await add(store, job(tenant="a", run_at=later(-1)), job(tenant="a", run_at=later(-2)))
    assert [attempt.id for attempt in await claim(store)] == [first, second]


async def test_shares_follow_the_weights(store: Store) -> None:
    await rule(store, "a", TenantRule(weight=3))
    await fill(store, a=90, b=90)
    taken = Counter[str | None]()
    for _ in range(8):
        taken.update(attempt.tenant for attempt in await claim(store, 10))
    assert taken == {"a": 60, "b": 20}


async def test_a_weight_counts_from_the_next_claim_on(store: Store) -> None:
    await fill(store, a=50, b=50)
    await claim(store, 10)
    await rule(store, "b", TenantRule(weight=4))
    assert Counter(attempt.tenant for attempt in await claim(store, 20)) == {"a": 4, "b": 16}


async def test_no_slot_stays_empty_while_anyone_has_work(store: Store) -> None:
    await rule(store, "a", TenantRule(weight=100))
    await fill(store, a=2, b=8)
    assert len(await claim(store, 10)) == 10


async def test_who_was_idle_has_saved_nothing_up(store: Store) -> None:
    await fill(store, a=100, b=1)
    await claim(store, 61)
    await fill(store, b=40)
    assert Counter(attempt.tenant for attempt in await claim(store, 20)) == {"a": 10, "b": 10}


async def test_a_higher_priority_goes_before_any_turn(store: Store) -> None:
    await fill(store, a=2)
    await add(store, job(tenant="b", priority=10), job(tenant="b", priority=10))
    assert tenants(await claim(store, 3)) == "b b a"


async def test_each_queue_is_shared_out_by_itself(store: Store) -> None:
    await add(store, *(job(queue="x", tenant="a") for _ in range(20)))
    await claim(store, 10, queue="x")
    await add(store, *(job(queue="y", tenant=tenant) for tenant in "aabb"))
    assert tenants(await claim(store, 4, queue="y")) == "a b a b"


async def test_a_tenant_is_charged_for_the_time_that_its_jobs_ran(store: Store) -> None:
    await rule(store, "mail", QueueRule(charge="time"))
    await fill(store, a=100, b=100)
    taken = Counter[str | None]()
    now = NOW
    for _ in range(60):
        for attempt in await claim(store, 2, now=now):
            taken[attempt.tenant] += 1
            ran = timedelta(seconds=4 if attempt.tenant == "a" else 1)
            await store.finish([outcome(attempt, "done")], now=now + ran)
        now += timedelta(seconds=4)
    assert abs(taken["b"] - 4 * taken["a"]) <= 8, f"b ran four times as often, a four times as long: {taken}"


async def test_the_shares_of_a_queue_are_shown(store: Store) -> None:
    await fill(store, a=3, b=1)
    await add(store, job(queue="other", tenant="c"), job(tenant="b", priority=10))
    await claim(store, 2)
    assert await store.shares("mail", limit=10) == [
        ShareView(queue="mail", priority=0, tenant="b", queued=1, tag=0),
        ShareView(queue="mail", priority=0, tenant="a", queued=2, tag=1000),
    ]
    assert [share.tenant for share in await store.shares("mail", limit=1)] == ["b"]


async def tags(store: Store) -> dict[str, int]:
    return {share.tenant: share.tag for share in await store.shares("mail", limit=10)}


async def test_what_a_tenant_took_is_forgotten_when_it_makes_no_difference(store: Store) -> None:
    await fill(store, a=3, b=1)
    await claim(store, MANY)
    await fill(store, c=1)
    await store.prune(Keep(), limit=10, now=NOW)
    await fill(store, a=1, b=1)
    assert await tags(store) == {"a": 3000, "b": 0, "c": 0}


async def test_once_nobody_has_jobs_all_begin_anew(store: Store) -> None:
    await fill(store, a=3, b=1)
    await claim(store, MANY)
    await store.prune(Keep(), limit=10, now=NOW)
    await fill(store, a=1, b=1)
    assert await tags(store) == {"a": 0, "b": 0}


async def test_every_tenant_of_hundreds_has_its_turn(store: Store) -> None:
    names = [f"t-{n:03}" for n in range(300)]
    await add(store, *(job(tenant=name) for name in names for _ in range(2)))
    first = [attempt.tenant for _ in range(3) for attempt in await claim(store, 100)]
    assert first == names
