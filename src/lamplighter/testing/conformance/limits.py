"""Limits by key: no more jobs at once than a limit allows; who waits for one costs nothing, and loses no turn."""

from __future__ import annotations

import asyncio
from collections import Counter

from lamplighter.core.flow_control import GateRule
from lamplighter.core.model import Claimed, Keep, NewJob, State, Unique, Where
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    LEASE,
    MANY,
    NOW,
    OpenAgain,
    add,
    claim,
    end,
    gate,
    job,
    later,
    outcome,
    rule,
    see,
)

ONE, TWO = GateRule(running=1), GateRule(running=2)


def limited(key: str = "one:a", *more: str, **changes: object) -> NewJob:
    return job(limits=(key, *more), **changes)  # type: ignore[arg-type]


async def ids(store: Store, limit: int = MANY, *, now: float = 0) -> list[str]:
    return [attempt.id for attempt in await claim(store, limit, now=later(now))]


async def test_no_more_run_at_once_than_a_limit_allows(store: Store) -> None:
    await rule(store, "two", TWO)
    added = await add(store, *(limited("two:a") for _ in range(5)))
    assert await ids(store) == added[:2]
    assert await ids(store) == []


async def test_each_key_of_a_limit_counts_by_itself(store: Store) -> None:
    await rule(store, "one", ONE)
    added = await add(store, limited("one:a"), limited("one:a"), limited("one:b"))
    assert await ids(store) == [added[0], added[2]]


async def test_a_limit_without_a_rule_lets_all_through(store: Store) -> None:
    await add(store, *(limited("none:a") for _ in range(5)))
    assert len(await ids(store)) == 5


async def test_a_job_runs_only_if_all_of_its_limits_let_it(store: Store) -> None:
    await rule(store, "one", ONE)
    await rule(store, "two", TWO)
    added = await add(store, *(limited("one:a", "two:x") for _ in range(2)), *(limited("one:b", "two:x"),) * 1)
    added += await add(store, limited("one:c", "two:x"))
    assert await ids(store) == [added[0], added[2]], "the second waits for its own key, the fourth for the common one"


async def test_a_job_that_waits_for_one_limit_takes_no_slot_of_another(store: Store) -> None:
    await rule(store, "one", ONE)
    await rule(store, "two", TWO)
    await add(store, *(limited("two:x", "one:a") for _ in range(3)))
    assert len(await ids(store)) == 1
    assert (await gate(store, "two:x")).running == 1


async def test_the_end_of_a_job_lets_the_next_go(store: Store) -> None:
    await rule(store, "one", ONE)
    added = await add(store, *(limited() for _ in range(3)))
    for expected in added:
        [attempt] = await claim(store)
        assert attempt.id == expected
        await end(store, attempt, "done")


async def test_a_job_that_waits_says_for_what(store: Store) -> None:
    await rule(store, "one", ONE)
    first, second = await add(store, limited(), limited())
    await claim(store)
    view = await see(store, second)
    assert (view.state, view.limits, view.waits_on) == (State.QUEUED, ("one:a",), "one:a")
    assert (await see(store, first)).waits_on is None


async def test_a_dead_workers_slots_come_back_with_its_leases(store: Store) -> None:
    await rule(store, "one", ONE)
    first, _ = await add(store, limited(), limited())
    await claim(store, worker="dead")
    assert (await store.sweep(10, now=NOW + LEASE)).rescued == [first]
    assert await ids(store, now=31) == [first], "it was due earlier than the other"
    assert (await gate(store, "one:a")).running == 1


async def test_every_way_to_end_gives_the_slot_back(store: Store) -> None:
    await rule(store, "one", ONE)
    for verb in ("done", "fail", "retry", "snooze", "release", "cancel"):
        await add(store, limited(f"one:{verb}"))
        [attempt] = await claim(store)
        await end(store, attempt, verb, run_at=later(1000))
        await store.cancel(Where(states=(State.SCHEDULED, State.QUEUED)), limit=MANY, now=NOW)
        assert (await gate(store, f"one:{verb}")).running == 0, verb


async def test_a_lost_attempt_gives_back_no_slot_twice(store: Store) -> None:
    await rule(store, "two", TWO)
    await add(store, *(limited("two:a") for _ in range(3)))
    stale, other = await claim(store)
    await store.sweep(10, now=NOW + LEASE)
    await claim(store, now=NOW + LEASE)
    assert await store.finish([outcome(stale, "done"), outcome(other, "done")], now=NOW + LEASE) == []
    assert (await gate(store, "two:a")).running == 2


async def test_a_waiting_job_does_not_keep_others_of_its_queue_back(store: Store) -> None:
    await rule(store, "one", ONE)
    added = await add(store, *(limited() for _ in range(50)), job())
    assert await ids(store, 2) == [added[0], added[-1]]


async def test_thousands_before_a_shut_gate_keep_nobody_back_for_long(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited())
    await claim(store)
    for _ in range(3):
        await add(store, *(limited() for _ in range(500)))
    [free] = await add(store, job(run_at=NOW))
    taken: list[str] = []
    for _ in range(3):
        taken += await ids(store, 100)
    assert taken == [free]
    assert (await gate(store, "one:a")).waiting == 1500


async def test_tenants_take_turns_before_a_gate_too(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, *(limited(tenant="a") for _ in range(20)))
    await claim(store)
    await claim(store)
    await add(store, *(limited(tenant="b") for _ in range(3)))
    order = []
    for _ in range(6):
        running = await store.page(Where(states=(State.RUNNING,)), limit=2)
        attempts = [Claimed(view.id, view.fence, "", "", None, "", 0, NOW, NOW, 0, 0) for view in running]
        await store.finish([outcome(attempt, "done") for attempt in attempts], now=NOW)
        order += [attempt.tenant for attempt in await claim(store)]
    assert Counter(order) == {"a": 3, "b": 3}, f"the tenants took no turns: {order}"


async def test_a_job_that_was_let_go_and_came_too_late_keeps_its_place(store: Store) -> None:
    await rule(store, "one", ONE)
    _, second, _ = await add(store, *(limited(tenant="a") for _ in range(3)))
    [first] = await claim(store)
    await end(store, first, "done")
    await store.sweep(10, now=NOW)
    await add(store, limited(tenant="b"))
    [other] = await claim(store)
    assert other.tenant == "b", "the newcomer's tenant had its turn"
    await end(store, other, "done")
    assert await ids(store) == [second]


async def test_a_waiting_job_of_higher_priority_goes_first(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited())
    [attempt] = await claim(store)
    await add(store, limited(), urgent := limited(priority=10))
    assert await ids(store) == []
    await end(store, attempt, "done")
    assert await ids(store) == [urgent.id]


async def test_a_limit_holds_over_all_queues(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, *(limited(queue=queue) for queue in "abc"))
    assert len(await ids(store)) == 1


async def test_jobs_of_a_queue_that_nobody_serves_hold_no_slot(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited(queue="unserved"), limited(queue="served"), limited(queue="served"))
    [attempt] = await claim(store, queue="unserved")
    await add(store, limited(queue="unserved"))
    assert await claim(store, queue="served") == await claim(store, queue="unserved") == []
    await end(store, attempt, "done")
    served = 0
    for seconds in range(2):
        for taken in await claim(store, queue="served", now=later(seconds)):
            await end(store, taken, "done")
            served += 1
    assert served == 2


async def test_a_cancelled_job_makes_way_for_the_next_that_waits(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited())
    [attempt] = await claim(store)
    second, third = await add(store, limited(), limited())
    await claim(store)
    await end(store, attempt, "done")
    await store.sweep(10, now=NOW)
    await store.cancel(Where(ids=(second,)), limit=1, now=NOW)
    await store.sweep(10, now=later(2))
    assert await ids(store, now=2) == [third]


async def test_a_rule_counts_at_once_for_those_who_wait(store: Store) -> None:
    await rule(store, "one", ONE)
    added = await add(store, *(limited() for _ in range(4)))
    await claim(store)
    await rule(store, "one", GateRule(running=3))
    assert await ids(store) == added[1:3]
    await store.drop("limit", "one")
    assert await ids(store) == added[3:]


async def test_a_rule_may_come_after_the_jobs_that_run(store: Store) -> None:
    await add(store, *(limited() for _ in range(3)))
    await claim(store, 2)
    await rule(store, "one", TWO)
    assert await ids(store) == []


async def test_a_replaced_job_that_waited_is_looked_at_anew(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited())
    [attempt] = await claim(store)
    [waits] = await add(store, limited(unique=Unique("k", "pending")))
    await claim(store)
    await store.add([limited(unique=Unique("k", "pending"), replaces=True, args="[2]")], now=NOW)
    view = await see(store, waits)
    assert (view.args, view.waits_on) == ("[2]", None)
    await end(store, attempt, "done")
    assert await ids(store) == [waits]


async def test_gates_are_shown(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited("one:b"), limited("one:a"), limited("one:a"))
    await claim(store)
    found = await store.gates(limit=10, now=NOW)
    assert [(view.key, view.running, view.waiting, view.rule) for view in found] == [
        ("one:a", 1, 1, ONE),
        ("one:b", 1, 0, ONE),
    ]
    assert [view.key for view in await store.gates(limit=1, now=NOW)] == ["one:a"]
    unknown = await gate(store, "one:none")
    assert (unknown.running, unknown.state) == (0, "closed")


async def test_gates_that_nobody_uses_are_forgotten(store: Store) -> None:
    await rule(store, "one", ONE)
    await add(store, limited())
    [attempt] = await claim(store)
    await store.prune(Keep(), limit=10, now=NOW)
    assert (await gate(store, "one:a")).running == 1
    await end(store, attempt, "done")
    await store.prune(Keep(), limit=10, now=NOW)
    assert await store.gates(limit=10, now=NOW) == []


async def test_a_sweep_lets_go_who_waits_for_nothing_any_more(store: Store) -> None:
    await rule(store, "one", ONE)
    _, second = await add(store, limited(), limited())
    [attempt] = await claim(store)
    await end(store, attempt, "done")
    assert (await store.sweep(10, now=NOW)).due == 1
    assert (await see(store, second)).waits_on is None


async def test_of_many_workers_no_more_go_than_a_limit_allows(store: Store, open_again: OpenAgain) -> None:
    await rule(store, "two", TWO)
    await add(store, *(limited("two:a", tenant=f"t-{n % 3}") for n in range(60)))
    running, most, done = 0, 0, 0

    async def work(handle: Store, worker: str) -> None:
        nonlocal running, most, done
        while done < 60:
            attempts = await claim(handle, 5, worker=worker)
            running += len(attempts)
            most = max(most, running)
            await asyncio.sleep(0)
            if attempts:
                running -= len(attempts)  # before it is told: whoever is let go for it may be counted sooner
                won = await handle.finish([outcome(attempt, "done") for attempt in attempts], now=NOW)
                done += len(won)  # in a statement of its own, or what others add meanwhile is lost

    async with open_again() as twin, asyncio.timeout(60):
        await asyncio.gather(*(work((store, twin)[n % 2], f"w-{n}") for n in range(4)))
    assert (most, done) == (2, 60)
