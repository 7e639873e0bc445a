"""Rate limits by key: no window holds more than is allowed (GCRA), and what waits goes when its time has come."""

from __future__ import annotations

from datetime import timedelta

from lamplighter.core.flow_control import GateRule, Order
from lamplighter.core.model import NewJob
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import MANY, NOW, add, claim, end, gate, job, later, outcome, rule

SECOND = 1_000_000
STEADY = GateRule(interval=10 * SECOND)
BURSTY = GateRule(interval=10 * SECOND, burst=3)


def limited(key: str = "rate:a", **changes: object) -> NewJob:
    return job(limits=(key,), **changes)  # type: ignore[arg-type]


async def started_at(store: Store, moments: range) -> list[int]:
    """At which of these moments (seconds) how many jobs start, each of which is done at once."""
    starts: list[int] = []
    for moment in moments:
        await store.sweep(MANY, now=later(moment))
        for attempt in await claim(store, now=later(moment)):
            starts.append(moment)
            await end(store, attempt, "done", now=later(moment))
    return starts


async def test_jobs_start_at_the_pace_of_their_limit(store: Store) -> None:
    await rule(store, "rate", STEADY)
    await add(store, *(limited() for _ in range(4)))
    assert await started_at(store, range(0, 40, 2)) == [0, 10, 20, 30]


async def test_a_burst_may_start_at_once_and_is_saved_up_again(store: Store) -> None:
    await rule(store, "rate", BURSTY)
    await add(store, *(limited() for _ in range(9)))
    assert await started_at(store, range(0, 35, 5)) == [0, 0, 0, 10, 20, 30]
    assert await started_at(store, range(100, 101)) == [100, 100, 100]


async def test_each_key_has_its_own_pace(store: Store) -> None:
    await rule(store, "rate", STEADY)
    await add(store, limited("rate:a"), limited("rate:a"), limited("rate:b"))
    assert len(await claim(store)) == 2


async def test_a_slot_that_is_given_back_is_no_new_token(store: Store) -> None:
    await rule(store, "rate", STEADY)
    await add(store, limited(), limited())
    [attempt] = await claim(store)
    await end(store, attempt, "done")
    assert await claim(store, now=later(5)) == []
    assert len(await claim(store, now=later(10))) == 1


async def test_a_sweep_knows_when_the_next_may_go(store: Store) -> None:
    await rule(store, "rate", STEADY)
    await add(store, limited(), limited())
    await claim(store)
    assert (await store.sweep(MANY, now=NOW)).next_at == later(10)
    assert (await store.sweep(MANY, now=later(9))).due == 0
    assert (await store.sweep(MANY, now=later(10))).due == 1


async def test_a_shut_gate_says_when_it_opens(store: Store) -> None:
    await rule(store, "rate", STEADY)
    await add(store, limited(), limited())
    await claim(store)
    assert (await gate(store, "rate:a")).opens_at == later(10)
    assert (await gate(store, "rate:a", now=later(10))).opens_at is None


async def test_several_limits_hold_at_once(store: Store) -> None:
    await rule(store, "rate", STEADY)
    await rule(store, "slow", GateRule(interval=25 * SECOND))
    await add(store, *(job(limits=("rate:a", "slow:b")) for _ in range(3)))
    assert await started_at(store, range(0, 60, 5)) == [0, 25, 50]


async def test_a_handler_moves_a_key_back_with_its_outcome(store: Store) -> None:
    await rule(store, "rate", BURSTY)
    await add(store, *(limited() for _ in range(4)), limited("rate:b"))
    attempt, *_ = await claim(store, 1)
    order = Order("rate:a", "penalize", later(60))
    assert await store.finish([outcome(attempt, "done", orders=(order,))], now=NOW) == [attempt.id]
    assert await started_at(store, range(0, 85, 5)) == [0, 60, 70, 80], "no burst follows"


async def test_an_order_of_an_attempt_that_was_lost_is_not_obeyed(store: Store) -> None:
    await add(store, limited())
    [attempt] = await claim(store)
    await end(store, attempt, "done")
    order = Order("rate:a", "penalize", later(60))
    assert await store.finish([outcome(attempt, "done", orders=(order,))], now=NOW) == []
    await add(store, limited())
    assert len(await claim(store)) == 1


async def test_a_penalty_needs_no_rule_and_never_shortens_another(store: Store) -> None:
    for seconds in (60, 30):
        await store.order([Order("free:a", "penalize", later(seconds))], now=NOW)
    await add(store, limited("free:a"))
    assert await started_at(store, range(0, 90, 10)) == [60]


async def test_no_window_holds_more_than_is_allowed(store: Store) -> None:
    """Ten in any ten seconds, at most four of them together: the rest has what is left of the window."""
    interval = -(-10 * SECOND // (10 - 4 + 1))
    await rule(store, "rate", GateRule(interval=interval, burst=4))
    await add(store, *(limited(tenant=f"t-{n % 3}") for n in range(60)))
    starts: list[float] = []
    for tenth in range(400):
        now = NOW + timedelta(seconds=tenth / 10)
        starts += [tenth / 10] * len(await claim(store, 7, now=now))
    assert len(starts) > 25
    assert max(sum(begin <= at < begin + 10 for at in starts) for begin in starts) <= 10
