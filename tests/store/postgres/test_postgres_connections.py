"""Connections: no more than allowed, none in use that is broken, and none left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from tests.store.postgres.behind import Behind

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.conformance._make import NOW, add, job, unique
from lamplighter.testing.servers import private_postgres

OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lamplighter'"


@pytest.fixture(scope="module")
def own_url() -> Iterator[str]:
    """A server that nobody else has connections to."""
    with private_postgres(fsync=False) as server:
        yield f"{server.url}?schema=ours"


@pytest.fixture
async def alone(own_url: str) -> AsyncIterator[Behind]:
    connection = await asyncpg.connect(own_url.partition("?")[0])
    looker = Behind(connection, "ours")
    yield looker
    await looker.until(OURS, 0)
    await connection.close()


def opened(url: str) -> PostgresStore:
    store = open_store(url)
    assert isinstance(store, PostgresStore)
    return store


async def test_a_thousand_calls_at_once_use_no_more_connections_than_allowed(own_url: str, alone: Behind) -> None:
    async with opened(f"{own_url}&connections=3&patience=60") as store:
        calls = asyncio.gather(*(add(store, job()) for _ in range(1000)))
        most = 0
        while not calls.done():
            most = max(most, await alone.value(OURS))
        await calls
        assert most == 3


async def test_nothing_is_left_when_the_store_is_closed(own_url: str, alone: Behind) -> None:
    async with opened(own_url) as store:
        waking = store.wake()
        await anext(waking)
        await asyncio.gather(*(add(store, job()) for _ in range(20)))
        await asyncio.to_thread(lambda: asyncio.run(add(store, job())))
        await waking.aclose()  # type: ignore[attr-defined]
    await alone.until(OURS, 0)


async def test_nothing_is_left_of_a_loop_that_ended_while_the_store_is_open(own_url: str, alone: Behind) -> None:
    async with opened(own_url) as store:
        here = await alone.value(OURS)
        await asyncio.to_thread(lambda: asyncio.run(add(store, job())))
        await alone.until(OURS, here)


async def test_a_call_under_way_when_the_store_is_closed_leaves_nothing(own_url: str, alone: Behind) -> None:
    store = opened(own_url)
    await store.__aenter__()
    async with alone.connection.transaction():
        await store.add([unique("under way")], now=NOW, tx=alone.connection)
        call = asyncio.create_task(store.add([unique("under way")], now=NOW))
        looker = Behind(await asyncpg.connect(own_url.partition("?")[0]), "ours")
        await looker.until_waiting()
        await store.__aexit__()
    await call
    await looker.until(OURS, 0)
    await looker.connection.close()
    with pytest.raises(StoreUnavailable, match="is not open: enter it with `async with` first"):
        await store.stats()


async def test_a_cancelled_call_leaves_neither_a_statement_nor_a_broken_connection(own_url: str, alone: Behind) -> None:
    async with opened(f"{own_url}&connections=1&patience=600") as store:
        async with alone.connection.transaction():
            await store.add([unique("cancelled")], now=NOW, tx=alone.connection)
            call = asyncio.create_task(store.add([unique("cancelled")], now=NOW))
            looker = Behind(await asyncpg.connect(own_url.partition("?")[0]), "ours")
            await looker.until_waiting()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await add(store, job())
            await looker.until("SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0", 0)
            await looker.connection.close()
        assert (await store.add([unique("cancelled")], now=NOW))[0].created is False
        assert await alone.value(OURS) == 1


async def test_calls_that_are_cancelled_at_any_moment_break_nothing(own_url: str, alone: Behind) -> None:
    async with opened(f"{own_url}&connections=2&patience=30") as store:
        before = await alone.value("SELECT count(*) FROM SCHEMA.jobs")
        for ticks in range(40):
            call = asyncio.create_task(add(store, job()))
            for _ in range(ticks):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
        await asyncio.gather(*(add(store, job()) for _ in range(10)))
        await alone.until(OURS + " AND state <> 'idle'", 0)
        assert before + 10 <= await alone.value("SELECT count(*) FROM SCHEMA.jobs") <= before + 50
        assert await alone.counts_are_right()
        assert await alone.value(OURS) <= 2


async def test_a_refused_call_keeps_its_connection(own_url: str, alone: Behind) -> None:
    async with opened(f"{own_url}&connections=1&patience=2") as store:
        pid = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lamplighter'"
        before = await alone.value(pid)
        async with alone.connection.transaction():
            await store.add([unique("refused")], now=NOW, tx=alone.connection)
            with pytest.raises(StoreUnavailable, match="for another transaction that does not end"):
                await store.add([unique("refused")], now=NOW)
        assert await alone.value(pid) == before
