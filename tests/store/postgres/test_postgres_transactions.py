"""Jobs in the application's own transaction: they exist if it commits, and never were if it rolls back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from tests.store.postgres.behind import Behind
from tests.store.postgres.drivers import DRIVERS, Begin

from lamplighter.core.errors import StoreUnavailable, TransactionUnsupported
from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.conformance._make import NOW, add, end, ids_of, job, started, unique
from lamplighter.testing.conformance.wake import woken

LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture(params=DRIVERS)
def begin(request: pytest.FixtureRequest) -> Begin:
    found: Begin = request.param
    return found


async def test_jobs_exist_once_the_transaction_commits(
    store: PostgresStore, begin: Begin, postgres_url: str, behind: Behind
) -> None:
    new, keyed = job(), unique()
    async with begin(postgres_url) as (tx, run, _):
        [added, kept] = await store.add([new, keyed], now=NOW, tx=tx)
        assert (added.id, added.created) == (new.id, True)
        assert (kept.id, kept.created) == (keyed.id, True)
        assert await ids_of(store) == []
        await run("COMMIT")
    assert await ids_of(store) == [keyed.id, new.id]
    assert await behind.counts_are_right()


async def test_jobs_never_were_if_the_transaction_rolls_back(
    store: PostgresStore, begin: Begin, postgres_url: str, behind: Behind
) -> None:
    async with begin(postgres_url) as (tx, run, _):
        await store.add([job(), unique()], now=NOW, tx=tx)
        await run("ROLLBACK")
    assert await ids_of(store) == []
    assert await behind.value("SELECT count(*) FROM SCHEMA.keys") == 0
    assert await behind.value("SELECT count(*) FROM SCHEMA.totals WHERE n <> 0") == 0
    await add(store, unique())


async def test_a_key_that_is_held_is_answered_inside_a_transaction_too(
    store: PostgresStore, begin: Begin, postgres_url: str
) -> None:
    [holder] = await add(store, unique())
    async with begin(postgres_url) as (tx, run, _):
        [added] = await store.add([unique()], now=NOW, tx=tx)
        await run("COMMIT")
    assert (added.id, added.created) == (holder, False)


async def test_a_job_exists_if_and_only_if_the_row_beside_it_does(
    store: PostgresStore, begin: Begin, postgres_url: str, behind: Behind
) -> None:
    await behind.rows("CREATE TABLE SCHEMA.files (name text)")
    kept = job()
    async with begin(postgres_url) as (tx, run, _):
        await run(f"INSERT INTO {behind.schema}.files VALUES ('a.txt')")
        await store.add([kept], now=NOW, tx=tx)
        await run("COMMIT")
    async with begin(postgres_url) as (tx, run, _):
        await run(f"INSERT INTO {behind.schema}.files VALUES ('b.txt')")
        await store.add([job()], now=NOW, tx=tx)
        await run("ROLLBACK")
    assert await behind.rows("SELECT name FROM SCHEMA.files") == [("a.txt",)]
    assert await ids_of(store) == [kept.id]


async def test_what_is_rolled_back_to_a_savepoint_takes_its_jobs_along(
    store: PostgresStore, begin: Begin, postgres_url: str, behind: Behind
) -> None:
    before, after = job(), unique()
    async with begin(postgres_url) as (tx, run, _):
        await store.add([before], now=NOW, tx=tx)
        await run("SAVEPOINT here")
        await store.add([job(), unique()], now=NOW, tx=tx)
        await run("ROLLBACK TO SAVEPOINT here")
        [added] = await store.add([after], now=NOW, tx=tx)
        assert added.created
        await run("COMMIT")
    assert await ids_of(store) == [after.id, before.id]
    assert await behind.counts_are_right()


async def test_a_synchronous_transaction_needs_no_await(store: PostgresStore, begin: Begin, postgres_url: str) -> None:
    new = job()
    async with begin(postgres_url) as (tx, run, synchronous):
        if not synchronous:
            with pytest.raises(TransactionUnsupported, match=r"is asynchronous: await .*\.$"):
                store.add_within(tx, [new], now=NOW)
            return
        assert store.add_within(tx, [new], now=NOW)[0].created
        await run("COMMIT")
    assert await ids_of(store) == [new.id]


async def test_synchronous_code_that_sqlalchemy_runs_in_a_coroutine_adds_jobs_too(
    store: PostgresStore, postgres_url: str
) -> None:
    new = job()
    engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+asyncpg:"), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: store.add_within(sync, [new], now=NOW))
    assert await ids_of(store) == [new.id]


@pytest.mark.parametrize("level", LEVELS)
async def test_every_isolation_level_will_do(
    store: PostgresStore, postgres_url: str, level: str, behind: Behind
) -> None:
    [holder] = await add(store, unique("held"))
    async with open_transaction(postgres_url, level) as tx:
        added = await store.add([job(), unique(), unique("held")], now=NOW, tx=tx)
        await tx.execute("COMMIT")
    assert [one.created for one in added] == [True, True, False]
    assert added[2].id == holder
    assert await behind.counts_are_right()


@pytest.mark.parametrize("level", LEVELS[1:])
async def test_a_transaction_that_sees_no_newer_keys_is_told_to_begin_again(
    store: PostgresStore, postgres_url: str, level: str
) -> None:
    async with open_transaction(postgres_url, level) as tx:
        await tx.fetch("SELECT 1 FROM pg_class LIMIT 1")  # from here on it sees the database as it is now
        await add(store, unique())
        with pytest.raises(StoreUnavailable, match=r"met another transaction .*run the whole transaction again"):
            await store.add([unique()], now=NOW, tx=tx)


@pytest.mark.parametrize("level", LEVELS)
async def test_a_running_job_hands_its_key_on_in_a_transaction(
    store: PostgresStore, postgres_url: str, level: str
) -> None:
    attempt = await started(store, unique(mode="active"))
    async with open_transaction(postgres_url, level) as tx:
        [added] = await store.add([unique(mode="active", parent=attempt.id)], now=NOW, tx=tx)
        await tx.execute("COMMIT")
    assert added.created
    await end(store, attempt, "done")
    [again] = await store.add([unique(mode="active")], now=NOW)
    assert (again.id, again.created) == (added.id, False)


async def test_the_commit_wakes_this_process_and_others(store: PostgresStore, postgres_url: str) -> None:
    async def commit_one() -> None:
        async with open_transaction(postgres_url) as tx:
            await store.add([job()], now=NOW, tx=tx)
            await tx.execute("COMMIT")

    async with open_store(store.url) as twin, woken(store) as here, woken(twin) as there:
        await here(commit_one)
        await there(commit_one)


@pytest.mark.parametrize("level", LEVELS)
async def test_a_transaction_that_has_failed_is_told_to_roll_back(
    store: PostgresStore, begin: Begin, postgres_url: str, level: str
) -> None:
    async with open_transaction(postgres_url, level) as tx:
        with pytest.raises(asyncpg.PostgresError):
            await tx.execute("SELECT 1 / 0")
        with pytest.raises(StoreUnavailable, match=r"in a transaction that has failed: roll back and try again\.$"):
            await store.add([job()], now=NOW, tx=tx)


async def test_what_has_not_begun_is_refused(store: PostgresStore, postgres_url: str) -> None:
    begun_first = pytest.raises(TransactionUnsupported, match=r"tx has not begun, .*: begin a transaction first\.$")
    connection = await asyncpg.connect(postgres_url)
    with begun_first:
        await store.add([job()], now=NOW, tx=connection)
    await connection.close()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as asynchronous:
        with begun_first:
            await store.add([job()], now=NOW, tx=asynchronous)
        async with asynchronous.transaction():
            await store.add([job()], now=NOW, tx=asynchronous)
    with psycopg.connect(postgres_url, autocommit=True) as synchronous, begun_first:
        store.add_within(synchronous, [job()], now=NOW)
    assert len(await ids_of(store)) == 1


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize("where", ["engine", "options of the engine", "options of the connection"])
async def test_what_sqlalchemy_commits_by_itself_is_refused(
    store: PostgresStore, postgres_url: str, driver: str, where: str
) -> None:
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
    engine = create_async_engine(
        postgres_url.replace("postgresql:", f"postgresql+{driver}:"),
        poolclass=NullPool,
        **(options if where == "engine" else {}),
    )
    if where == "options of the engine":
        engine = engine.execution_options(**options)
    async with engine.connect() as connection:
        if where == "options of the connection":
            await connection.execution_options(**options)
        with pytest.raises(TransactionUnsupported, match="tx has not begun"):
            await store.add([job()], now=NOW, tx=connection)


@pytest.fixture
async def elsewhere(postgres_url: str, behind: Behind) -> AsyncIterator[str]:
    """Another database of the server."""
    name = f"other_{behind.schema}"
    await behind.connection.execute(f"CREATE DATABASE {name}")
    yield f"{postgres_url.rpartition('/')[0]}/{name}"
    await behind.connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_another_database_is_refused_whether_it_has_such_a_schema_or_not(
    store: PostgresStore, begin: Begin, elsewhere: str, behind: Behind
) -> None:
    elsewhere_open = pytest.raises(
        TransactionUnsupported, match=r"is not where tx is open: use one in the same database\.$"
    )
    async with begin(elsewhere) as (tx, run, _):
        with elsewhere_open:
            await store.add([job()], now=NOW, tx=tx)
        await run("ROLLBACK")
    async with open_store(f"{elsewhere}?schema={behind.schema}") as other:
        async with begin(elsewhere) as (tx, run, _):
            with elsewhere_open:
                await store.add([job()], now=NOW, tx=tx)
            await run("ROLLBACK")
        assert await ids_of(other) == []


async def test_what_is_no_transaction_on_postgresql_is_refused(store: PostgresStore) -> None:
    with pytest.raises(TransactionUnsupported, match=r"tx=object is no transaction on postgresql://.*\.$"):
        await store.add([job()], now=NOW, tx=object())
    with pytest.raises(TransactionUnsupported, match="tx=object is no transaction on"):
        store.add_within(object(), [job()], now=NOW)
    with closing(sqlite3.connect(":memory:")) as tx, pytest.raises(TransactionUnsupported, match="tx=Connection is no"):
        await store.add([job()], now=NOW, tx=tx)
    with (
        create_engine("sqlite://").connect() as connection,
        pytest.raises(TransactionUnsupported, match="tx=sqlite is no transaction on"),
    ):
        store.add_within(connection, [job()], now=NOW)


async def test_what_its_driver_finds_wrong_with_tx_stays_as_it_is(store: PostgresStore, postgres_url: str) -> None:
    """To say that the database cannot be reached would be a lie."""
    async with open_transaction(postgres_url) as tx:
        await tx.close()
        with pytest.raises(asyncpg.InterfaceError, match="closed"):
            await store.add([job()], now=NOW, tx=tx)


class open_transaction:  # noqa: N801 - reads as a function
    """asyncpg's, at one isolation level; rolled back unless it was committed."""

    def __init__(self, url: str, level: str = "READ COMMITTED") -> None:
        self._url, self._level = url, level

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await asyncpg.connect(self._url)
        await self._connection.execute(f"BEGIN ISOLATION LEVEL {self._level}")
        return self._connection

    async def __aexit__(self, *exc: object) -> None:
        await self._connection.close()
