"""Breakers by key: what keeps failing is left alone for a while, then tried by one job, and others do not notice."""

from __future__ import annotations

from lamplighter.core.flow_control import GateRule, Order, Turned
from lamplighter.core.model import Claimed, NewJob, Outcome, Verb
from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import (
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    end,
    failure,
    gate,
    job,
    later,
    outcome,
    rule,
    see,
)

SECOND = 1_000_000
RULE = GateRule(
    percent=50, at_least=4, within=60 * SECOND, open_for=10 * SECOND, longest=15 * SECOND
)  # open for 10, then 15 s


def limited(key: str = "api:a") -> NewJob:
    return job(limits=(key,))


async def attempts(store: Store, n: int, verb: Verb, *, at: float = 0, key: str = "api:a") -> None:
    """So many jobs that are claimed and end so, all at once."""
    await add(store, *(limited(key) for _ in range(n)), now=later(at))
    claimed = await claim(store, n, now=later(at))
    assert len(claimed) == n, "the gate should have been open"
    await store.finish([ended(attempt, verb) for attempt in claimed], now=later(at))


def ended(attempt: Claimed, verb: Verb) -> Outcome:
    why = failure(attempt) if verb in {"fail", "retry"} else None
    return outcome(attempt, verb, failure=why, run_at=later(10_000), keep_until=later(20_000))


async def opened(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 4, "fail")


async def state(store: Store, at: float = 0) -> str:
    return (await gate(store, "api:a", now=later(at))).state


async def test_a_breaker_opens_when_too_many_fail(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 2, "done")
    await attempts(store, 1, "fail")
    assert await state(store) == "closed"
    await attempts(store, 1, "retry")
    assert await state(store) == "open"


async def test_a_breaker_stays_closed_while_fewer_ended_than_it_wants_to_judge(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 3, "fail")
    assert await state(store) == "closed"


async def test_what_went_well_keeps_it_closed(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 5, "done")
    await attempts(store, 4, "fail")
    assert await state(store) == "closed"


async def test_what_goes_well_opens_no_breaker_though_it_makes_enough_to_judge(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 3, "fail")
    await attempts(store, 1, "done")
    assert await state(store) == "closed"
    await attempts(store, 1, "fail")
    assert await state(store) == "open"


async def test_what_says_nothing_counts_as_nothing(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 2, "fail")
    for verb in ("snooze", "cancel"):
        await attempts(store, 4, verb)
    view = await gate(store, "api:a")
    assert (view.state, view.oks, view.bads) == ("closed", 0, 2)


async def test_old_failures_are_forgotten(store: Store) -> None:
    await rule(store, "api", RULE)
    await attempts(store, 3, "fail")
    await attempts(store, 3, "fail", at=60)
    assert await state(store, 60) == "closed"


async def test_while_it_is_open_jobs_wait_without_spending_attempts(store: Store) -> None:
    await opened(store)
    [waits] = await add(store, limited())
    assert await claim(store, now=later(9)) == []
    view = await see(store, waits)
    assert (view.failures, view.fence, view.waits_on) == (0, 0, "api:a")


async def test_other_keys_do_not_notice(store: Store) -> None:
    await opened(store)
    _, other = await add(store, limited(), limited("api:b"))
    assert [attempt.id for attempt in await claim(store)] == [other]


async def test_when_its_time_is_over_one_job_tries(store: Store) -> None:
    await opened(store)
    added = await add(store, *(limited() for _ in range(3)))
    await claim(store)
    assert (await gate(store, "api:a")).opens_at == later(10)
    assert [attempt.id for attempt in await claim(store, now=later(10))] == added[:1]
    assert await claim(store, now=later(11)) == []
    assert await state(store, 11) == "half-open"


async def test_a_try_that_goes_well_closes_it(store: Store) -> None:
    await opened(store)
    added = await add(store, *(limited() for _ in range(3)))
    [probe] = await claim(store, now=later(10))
    await end(store, probe, "done", now=later(11))
    assert await state(store, 11) == "closed"
    assert [attempt.id for attempt in await claim(store, now=later(11))] == added[1:]


async def test_a_try_that_fails_opens_it_for_longer(store: Store) -> None:
    await opened(store)
    await add(store, *(limited() for _ in range(3)))
    [probe] = await claim(store, now=later(10))
    await end(store, probe, "fail", now=later(10), failure=failure(probe))
    assert (await gate(store, "api:a", now=later(10))).opens_at == later(25), "twice as long, but no longer than it may"
    assert await claim(store, now=later(24)) == []
    assert len(await claim(store, now=later(25))) == 1


async def test_a_try_that_says_nothing_lets_another_try(store: Store) -> None:
    await opened(store)
    first, second = await add(store, limited(), limited())
    [probe] = await claim(store, now=later(10))
    await end(store, probe, "snooze", run_at=later(100), now=later(10))
    assert [attempt.id for attempt in await claim(store, now=later(11))] == [second]
    assert probe.id == first


async def test_a_try_whose_worker_died_lets_another_try(store: Store) -> None:
    await opened(store)
    await add(store, limited())
    await claim(store, now=later(10))
    await store.sweep(MANY, now=later(10) + LEASE)
    assert len(await claim(store, now=later(10) + LEASE)) == 1


async def test_those_sent_before_it_opened_decide_nothing(store: Store) -> None:
    await rule(store, "api", RULE)
    await add(store, *(limited() for _ in range(6)))
    *failing, straggler = await claim(store)
    await store.finish([ended(attempt, "fail") for attempt in failing], now=NOW)
    await end(store, straggler, "done", now=later(1))
    assert await state(store, 1) == "open"


async def test_a_handler_opens_it_with_its_outcome(store: Store) -> None:
    await add(store, limited(), limited())
    [attempt] = await claim(store, 1)
    order = Order("api:a", "open", later(40))
    await store.finish([outcome(attempt, "snooze", run_at=later(40), orders=(order,))], now=NOW)
    assert await claim(store, now=later(39)) == []
    assert len(await claim(store, now=later(40))) == 1
    assert await state(store, 40) == "half-open"


async def test_an_operator_holds_it_open_until_they_close_it(store: Store) -> None:
    await add(store, limited())
    await store.order([Order("api:a", "open")], now=NOW)
    assert await claim(store, now=later(1e6)) == []
    view = await gate(store, "api:a", now=later(1e6))
    assert (view.state, view.held, view.opens_at) == ("open", True, None)
    await store.order([Order("api:a", "close")], now=later(1e6))
    assert len(await claim(store, now=later(1e6))) == 1


async def test_an_operator_closes_one_that_opened_by_itself(store: Store) -> None:
    await opened(store)
    await add(store, limited())
    await store.order([Order("api:a", "close")], now=later(1))
    assert len(await claim(store, now=later(1))) == 1
    assert await state(store, 1) == "closed"


async def test_a_sweep_tells_once_what_opened_and_what_closed(store: Store) -> None:
    await opened(store)
    assert (await store.sweep(MANY, now=NOW)).turned == (Turned("api:a", opened=True),)
    assert (await store.sweep(MANY, now=NOW)).turned == ()
    await store.order([Order("api:a", "close")], now=NOW)
    assert (await store.sweep(MANY, now=NOW)).turned == (Turned("api:a", opened=False),)


async def test_an_open_breaker_is_shown_though_nobody_waits(store: Store) -> None:
    await opened(store)
    [view] = await store.gates(limit=10, now=later(5))
    assert (view.key, view.state, view.openings, view.waiting) == ("api:a", "open", 1, 0)
