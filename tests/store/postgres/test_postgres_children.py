"""Children in PostgreSQL: those who end them never wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.store.postgres.behind import Behind

from lamplighter.core.clock import to_us
from lamplighter.core.model import Children, NewJob, State, Swept, Where
from lamplighter.store.postgres import PostgresStore, rows
from lamplighter.testing.conformance._make import (
    MANY,
    NOW,
    add,
    children_of,
    claim,
    end,
    ids_of,
    outcome,
    parent,
    see,
)

SOON = 30  # seconds


@pytest.fixture
async def long(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that stays open."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("BEGIN")
    yield connection
    await connection.close()


async def family(store: PostgresStore, n: int) -> NewJob:
    held = parent(n)
    await add(store, held, *children_of(held, n))
    return held


async def test_those_who_end_children_of_one_job_never_wait_for_each_other(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    held = await family(store, 2)
    mine, theirs = await claim(store)
    finish = f"SELECT {behind.schema}.finish($1::jsonb, $2::bigint)"
    await long.execute(finish, rows.outcomes([outcome(theirs, "done")]), to_us(NOW))
    async with asyncio.timeout(SOON):
        await end(store, mine, "done")
        assert await store.sweep(MANY, now=NOW) == Swept(0, [], (await see(store, theirs.id)).lease_until)
    assert (await see(store, held.id)).children == Children(total=2, added=2, done=1)
    await long.execute("COMMIT")
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)


async def test_who_cancels_a_job_waits_for_children_that_are_being_added(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    held = parent(2)
    await add(store, held)
    [early, late] = children_of(held, 2)
    await store.add([early], now=NOW, tx=long)
    cancelling = asyncio.create_task(store.cancel(Where(ids=(held.id,)), limit=1, now=NOW))
    await behind.until_waiting()
    await long.execute("COMMIT")
    assert (await cancelling).ended == [held.id]
    assert await ids_of(store, Where(groups=(held.id,))) == [early.id], "it was there in time to be cancelled too"
    assert (await store.add([late], now=NOW))[0].created is False


async def test_a_child_does_not_come_to_a_job_that_is_being_cancelled(
    store: PostgresStore, long: asyncpg.Connection, behind: Behind
) -> None:
    held = parent(1)
    await add(store, held)
    cancel = f"SELECT {behind.schema}.cancel($1::text[], '{{held}}', NULL, $2::bigint)"
    await long.execute(cancel, [held.id], to_us(NOW))
    adding = asyncio.create_task(store.add(children_of(held, 1), now=NOW))
    await behind.until_waiting()
    await long.execute("COMMIT")
    assert [one.created for one in await adding] == [False]
    assert await ids_of(store) == [held.id]


async def test_a_child_that_nobody_is_held_for_leaves_no_trace(store: PostgresStore, behind: Behind) -> None:
    held = parent(1, group="nobody")
    assert not any(one.created for one in await store.add([held, *children_of(held, 1)], now=NOW))
    told = "SELECT queue FROM SCHEMA.line_changes UNION ALL SELECT queue FROM SCHEMA.count_changes"
    assert await behind.rows(told) == []


async def test_a_sweep_passes_over_a_job_that_children_are_being_added_to(
    store: PostgresStore, long: asyncpg.Connection
) -> None:
    held = parent(1)
    [first, extra] = children_of(held, 2)
    await add(store, held, first)
    await store.add([extra], now=NOW, tx=long)
    other = await family(store, 0)
    [attempt] = await claim(store)
    await end(store, attempt, "done")
    async with asyncio.timeout(SOON):
        swept = await store.sweep(MANY, now=NOW)
    assert (swept.due, (await see(store, other.id)).state) == (1, State.QUEUED)
    assert swept.next_at is not None
    assert swept.next_at > NOW, "or it would be asked again at once, for as long as the transaction is open"
    await long.execute("ROLLBACK")
    assert await store.sweep(MANY, now=NOW) == Swept(1, [], None)


async def test_a_family_that_is_rolled_back_was_never_there(store: PostgresStore, long: asyncpg.Connection) -> None:
    held = parent(1)
    assert all(one.created for one in await store.add([held, *children_of(held, 1)], now=NOW, tx=long))
    await long.execute("ROLLBACK")
    assert await ids_of(store) == []
    await family(store, 1)


async def test_what_was_counted_of_children_is_forgotten_with_their_parent(
    store: PostgresStore, behind: Behind
) -> None:
    held = await family(store, 2)
    await store.cancel(Where(ids=(held.id,)), limit=1, now=NOW, keep_until=NOW)
    for attempt in await claim(store):
        await end(store, attempt, "done")
    await store.sweep(MANY, now=NOW)
    assert await behind.rows("SELECT id FROM SCHEMA.groups UNION ALL SELECT child_of FROM SCHEMA.group_changes") == []
