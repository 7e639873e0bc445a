"""What a long transaction of the application's holds up: those who want the very same key, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from tests.store.postgres.behind import Behind

from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.flow_control import GateRule, Order
from lamplighter.core.model import Added, Beat, Keep, NewJob, State, UniqueMode, Where
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
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
    rule,
    see,
    started,
    unique,
)


@pytest.fixture
async def long(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that stays open."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("BEGIN")
    yield connection
    await connection.close()


def patient(store: PostgresStore) -> Store:
    """Another handle, which waits for longer than a test may take."""
    return open_store(f"{store.url}&patience=600")


async def test_a_long_transaction_that_adds_holds_up_nobody(store: PostgresStore, long: asyncpg.Connection) -> None:
    old = [await ended(store, keep_until=later(1)) for _ in range(3)]
    overdue = [await started(store, unique(f"o-{n}", mode="active")) for n in range(2)]
    running = await started(store, unique("r", mode="active"))
    added = await store.add([job(), unique("k"), unique("r"), job(run_at=later(5))], now=NOW, tx=long)
    assert [one.created for one in added] == [True, True, False, True]

    await add(store, job(), unique("other"), job(run_at=later(5)))
    assert (await store.add([unique("r")], now=NOW))[0].id == running.id
    [one, other] = await claim(store)
    assert await store.beat([Beat(running.id, running.fence, "1")], lease=LEASE * 9, now=NOW) == ([], [])
    await end(store, one, "done")
    await end(store, other, "retry", run_at=later(6), failure=failure(other))
    await end(store, running, "done")
    swept = await store.sweep(10, now=NOW + LEASE)
    assert (swept.due, sorted(swept.rescued)) == (2, [one.id for one in overdue])
    assert await store.retry(Where(ids=(one.id,)), limit=1, now=NOW) == [one.id]
    assert (await store.cancel(Where(ids=(one.id,)), limit=1, now=NOW)).ended == [one.id]
    assert await store.prune(Keep(0, 0), limit=10, now=later(9)) == len(old) + 2
    assert [stats.queued for stats in await store.stats()] == [4]


async def test_a_running_job_ends_though_a_long_transaction_wanted_its_key(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    attempt = await started(store, unique(mode="active"))
    assert not (await store.add([unique(mode="active")], now=NOW, tx=long))[0].created
    await end(store, attempt, "done")
    await add(store, unique(mode="active"))


async def test_a_parent_ends_though_a_long_transaction_hands_its_key_on(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    attempt = await started(store, unique(mode="active"))
    [successor] = await store.add([unique(mode="active", parent=attempt.id)], now=NOW, tx=long)
    await end(store, attempt, "done")
    await long.execute("COMMIT")
    assert successor.created
    assert (await store.add([unique(mode="active")], now=NOW))[0].id == successor.id


async def test_a_key_is_free_if_it_was_not_handed_on_after_all(store: PostgresStore, long: asyncpg.Connection) -> None:
    attempt = await started(store, unique(mode="active"))
    await store.add([unique(mode="active", parent=attempt.id)], now=NOW, tx=long)
    await end(store, attempt, "done")
    await long.execute("ROLLBACK")
    await add(store, unique(mode="active"))


async def test_a_job_comes_back_without_the_key_that_a_long_transaction_is_taking(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    attempt, bystander = await started(store, unique()), await started(store)
    assert (await store.add([unique()], now=NOW, tx=long))[0].created, "it waits no more, so its key is free"
    both = [outcome(attempt, "retry", run_at=NOW, failure=failure(attempt)), outcome(bystander, "done")]
    async with patient(store) as other:
        assert await other.finish(both, now=NOW) == [attempt.id, bystander.id]
    await long.execute("COMMIT")
    assert (await see(store, attempt.id)).state is State.SCHEDULED
    assert (await store.add([unique()], now=NOW))[0].created is False


async def test_rescues_and_an_operators_retry_do_not_wait_for_a_key_either(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    lost, done = await started(store, unique("a")), await ended(store, new=unique("b"))
    await store.add([unique("a"), unique("b")], now=NOW, tx=long)
    async with patient(store) as other:
        assert (await other.sweep(10, now=NOW + LEASE)).rescued == [lost.id]
        assert await other.retry(Where(ids=(done,)), limit=1, now=NOW) == [done]


async def test_an_expired_key_that_a_long_transaction_takes_over_is_left_to_it(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    await add(store, *(unique(key, mode="period", until=later(1)) for key in ("a", "b")))
    [added] = await store.add([unique("a", mode="period", until=later(99))], now=later(2), tx=long)
    await store.prune(Keep(), limit=10, now=later(3))
    await long.execute("COMMIT")
    assert await behind.rows("SELECT key, job FROM SCHEMA.keys") == [("a", added.id)]


async def test_a_claim_goes_on_though_a_long_transaction_has_a_key_in_its_hands(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    new = unique()
    await add(store, new)
    await long.execute(f"SELECT FROM {behind.schema}.keys FOR UPDATE")
    [attempt] = await claim(store)
    await end(store, attempt, "done")
    await long.execute("ROLLBACK")
    await add(store, unique())


async def test_who_wants_the_same_new_key_waits_until_it_is_known_who_has_it(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    [first] = await store.add([unique()], now=NOW, tx=long)
    waiting = asyncio.create_task(store.add([unique()], now=NOW))
    await behind.until_waiting()
    await long.execute("COMMIT")
    assert (await waiting)[0] == Added(first.id, created=False)


async def test_who_wants_a_key_that_is_rolled_back_gets_it(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    await store.add([unique()], now=NOW, tx=long)
    waiting = asyncio.create_task(add(store, new := unique()))
    await behind.until_waiting()
    await long.execute("ROLLBACK")
    assert await waiting == [new.id]


@pytest.mark.parametrize("inside", [False, True])
async def test_patience_for_a_key_ends_with_one_clear_sentence(
    store: PostgresStore, long: asyncpg.Connection, postgres_url: str, inside: bool
) -> None:
    await store.add([unique()], now=NOW, tx=long)
    other = await asyncpg.connect(postgres_url)
    await other.execute("BEGIN")
    await other.execute("SET lock_timeout = '1h'")
    async with open_store(f"{store.url}&patience=0.5") as hasty:
        with pytest.raises(
            StoreUnavailable, match=r"holds rows for another transaction .*: commit it or roll it back\."
        ):
            await hasty.add([unique()], now=NOW, tx=other if inside else None)
        assert await ids_of(hasty) == []
        if inside:
            await other.execute("ROLLBACK")
            await other.execute("BEGIN")
            await hasty.add([unique("other")], now=NOW, tx=other)
            assert await other.fetchval("SHOW lock_timeout") == "0"
    await other.close()


async def test_batches_with_the_same_keys_in_opposite_order_do_not_lock_each_other_out(
    store: PostgresStore,
) -> None:
    batches = [[unique(f"k-{n}") for n in range(40)] for _ in range(16)]
    orders = [batch if n % 2 else batch[::-1] for n, batch in enumerate(batches)]
    async with open_store(store.url) as twin:
        added = await asyncio.gather(*((store, twin)[n % 2].add(order, now=NOW) for n, order in enumerate(orders)))
    assert sum(one.created for answer in added for one in answer) == 40
    assert len(await ids_of(store)) == 40


async def test_an_owner_that_takes_long_holds_up_only_other_owners(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    await rule(store, "two", GateRule(running=2))
    attempt = await started(store, job(limits=("two:a",), tenant="t"))
    await add(store, job(), job())
    await long.execute(f"SELECT FROM {behind.schema}.claim('{{}}', 1, 'w', 9, 9)")
    async with patient(store) as other:
        [added] = await add(other, job(limits=("two:a",), tenant="t"))
        await other.beat([Beat(attempt.id, attempt.fence)], lease=LEASE, now=NOW)
        await other.order([Order("two:b", "open")], now=NOW)
        await end(other, attempt, "retry", run_at=later(1), orders=(Order("two:a", "penalize", later(9)),))
        assert (await other.sweep(10, now=later(1))).due == 1
        assert (await other.cancel(Where(ids=(added,)), limit=1, now=NOW)).ended == [added]
        await other.prune(Keep(), limit=10, now=NOW)
        waiting = asyncio.create_task(claim(other, 9))
        await behind.until_waiting()
        await long.execute("COMMIT")
        assert [one.queue for one in await waiting] == ["mail"]
    assert [view.key for view in await store.gates(limit=9, now=NOW)] == ["two:a", "two:b"]


async def test_a_long_transaction_that_adds_jobs_of_a_tenant_with_limits_holds_up_no_claim(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    await rule(store, "one", GateRule(running=1))
    both: dict[str, Any] = {"tenant": "t", "limits": ("one:a",)}
    await store.add([job(**both)], now=NOW, tx=long)
    [seen] = await add(store, job(**both))
    [attempt] = await claim(store)
    await end(store, attempt, "done")
    await long.execute("COMMIT")
    [late] = await claim(store)
    assert attempt.id == seen
    assert late.tenant == "t"


async def test_a_job_that_a_long_transaction_replaces_keeps_nobody_back_before_a_gate(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    await rule(store, "one", GateRule(running=1))
    running = await started(store, job(limits=("one:a",)))
    [held, _] = await add(store, unique(limits=("one:a",)), next_one := job(limits=("one:a",)))
    assert await claim(store) == []
    await store.add([unique(limits=("one:a",), replaces=True)], now=NOW, tx=long)
    await end(store, running, "done")
    [attempt] = await claim(store)
    assert attempt.id == next_one.id
    await long.execute("ROLLBACK")
    await end(store, attempt, "done")
    assert [one.id for one in await claim(store, now=later(2))] == [held]


def brings(key: str = "the key", **changes: Any) -> NewJob:
    """A job that replaces what waits under its key."""
    return unique(key, mode="active", args="[2]", replaces=True, **changes)


async def test_a_long_transaction_that_replaces_a_waiting_job_holds_up_nobody(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    running = await started(store)
    [due, planned] = await add(store, unique(mode="active"), unique("l", mode="active", run_at=later(1)))
    batch = [brings(), brings("l", run_at=later(1))]
    assert [one.replaced for one in await store.add(batch, now=NOW, tx=long)] == [True, True]

    [other, urgent] = await add(store, job(), job(priority=1))
    [one, two] = await claim(store)
    assert [one.id, two.id] == [urgent, other], "what is in the hands of a transaction is passed over"
    await end(store, one, "retry", run_at=later(1), failure=failure(one))
    await end(store, two, "done")
    await end(store, running, "done")
    swept = await store.sweep(10, now=later(2))
    assert (swept.due, swept.next_at) == (1, later(3)), "it does not look for what is locked again and again"
    await long.execute("COMMIT")
    assert (await store.sweep(10, now=later(3))).due == 1
    assert {(one.id, one.args) for one in await claim(store, now=later(3))} >= {(due, "[2]"), (planned, "[2]")}


async def test_a_replaced_job_is_as_it_was_if_the_transaction_is_rolled_back(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    [holder] = await add(store, unique(mode="active"))
    before = await see(store, holder)
    assert (await store.add([brings(run_at=later(5))], now=NOW, tx=long))[0].replaced
    assert await see(store, holder) == before
    await long.execute("ROLLBACK")
    assert await see(store, holder) == before
    assert await behind.counts_are_right()


@pytest.mark.parametrize("mode", ["pending", "active"])
async def test_what_a_job_brings_is_not_lost_if_the_holder_starts_meanwhile(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind, mode: UniqueMode
) -> None:
    [holder] = await add(store, unique(mode=mode))
    await long.execute(f"SELECT FROM {behind.schema}.claim('{{}}', 1, 'w', 9, 9)")
    waiting = asyncio.create_task(store.add([new := unique(mode=mode, replaces=True)], now=NOW))
    await behind.until_waiting()
    await long.execute("COMMIT")
    expected = Added(new.id, created=True) if mode == "pending" else Added(holder, created=False)
    assert await waiting == [expected]


async def test_batches_that_replace_and_retries_of_the_same_jobs_do_not_lock_each_other_out(
    store: PostgresStore, behind: Behind
) -> None:
    keys = [f"k-{n}" for n in range(40)]
    for _ in range(3):
        ids = await add(store, *(unique(key, mode="active") for key in reversed(keys)))
        where = Where(ids=tuple(ids))
        batches = [[brings(key, run_at=later(n)) for key in (keys if n % 2 else reversed(keys))] for n in range(8)]
        adding = asyncio.gather(*(store.add(batch, now=NOW) for batch in batches))
        await asyncio.gather(
            adding,
            *(store.retry(where, limit=99, now=NOW) for _ in range(4)),
            *(store.sweep(99, now=later(9)) for _ in range(4)),
        )
        assert all(one.replaced for added in adding.result() for one in added)
        await store.cancel(EVERY, limit=999, now=NOW)
    assert await behind.counts_are_right()


async def test_finish_beat_and_cancel_of_the_same_jobs_do_not_lock_each_other_out(
    store: PostgresStore, behind: Behind
) -> None:
    async def use(jobs: list[NewJob]) -> None:
        await add(store, *jobs)
        attempts = await claim(store, worker="w")
        beats = [Beat(one.id, one.fence, "1") for one in attempts]
        orders = [attempts, attempts[::-1]]
        ids = tuple(one.id for one in attempts)
        await asyncio.gather(
            *(store.finish([outcome(one, "done") for one in order], now=NOW) for order in orders),
            *(store.beat(order, lease=LEASE, now=NOW) for order in (beats, beats[::-1]) for _ in range(3)),
            *(store.cancel(Where(ids=order), limit=99, now=NOW) for order in (ids, ids[::-1])),
            store.sweep(99, now=NOW + LEASE),
        )

    for _ in range(5):
        await use([unique(f"{n}", mode="active") for n in range(40)])
        await store.cancel(EVERY, limit=999, now=NOW)
        for view in await store.page(Where(states=(State.RUNNING,)), limit=999):
            await store.finish([outcome(view, "cancel")], now=NOW)  # type: ignore[arg-type]
    assert await behind.counts_are_right()


async def test_two_transactions_that_do_lock_each_other_out_are_told_to_run_again(
    store: PostgresStore, long: asyncpg.Connection, postgres_url: str, behind: Behind
) -> None:
    other = await asyncpg.connect(postgres_url)
    await other.execute("BEGIN")
    await store.add([unique("a")], now=NOW, tx=long)
    await store.add([unique("b")], now=NOW, tx=other)
    waiting = asyncio.create_task(store.add([unique("b")], now=NOW, tx=long))
    await behind.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0", True)
    crossed = asyncio.create_task(store.add([unique("a")], now=NOW, tx=other))
    done, _ = await asyncio.wait([waiting, crossed])
    [error] = [one.exception() for one in done if one.exception()]
    assert isinstance(error, StoreUnavailable)
    assert str(error).endswith("roll back, and run the whole transaction again.")
    assert sum(one.result()[0].created for one in done if not one.exception()) == 1
    await other.close()
