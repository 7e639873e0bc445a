"""The service's database on PostgreSQL when something is in the way: as one sentence, and without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.util import await_only

from lamplighter.core.errors import StoreDamaged, StoreUnavailable
from lamplighter.integrations.storage.database import Database, Work
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import tenants
from lamplighter.testing.servers import private_pgbouncer, private_postgres


@pytest.fixture
async def database(postgres_schema_url: str) -> AsyncIterator[Database]:
    async with Database(postgres_schema_url) as opened:
        await upgrade(opened)
        yield opened


def adding(name: str) -> Work[None]:
    return lambda connection: add(connection, name)


def add(connection: Connection, name: str) -> None:
    connection.execute(insert(tenants).values(id=name, name=name, owner_id="o", archived=False, created_at=0))


def break_off(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lamplighter'")


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(tenants)) or 0


async def test_what_is_written_around_a_crash_of_the_server_is_there() -> None:
    with private_postgres() as server:
        async with Database(server.url) as database:
            await upgrade(database)
            await asyncio.gather(*(database.write(adding(f"before-{n}")) for n in range(20)))
            break_off(server.url)  # a connection that died in the pool costs nothing
            await asyncio.gather(*(database.write(adding(f"between-{n}")) for n in range(20)))
            server.kill()
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await database.write(adding("lost"))
            server.start()
            await database.write(adding("after"))
            assert await database.read(count) == 41


async def test_works_in_each_others_way_are_run_again(database: Database) -> None:
    met = asyncio.Barrier(2)
    tries: list[str] = []

    def cross(connection: Connection, first: str, then: str) -> None:
        tries.append(first)
        add(connection, first)
        if len(tries) <= 2:
            await_only(met.wait())
        if not connection.scalar(select(tenants.c.id).where(tenants.c.id == then)):
            add(connection, then)

    results = await asyncio.gather(
        database.write(lambda c: cross(c, "a", "b")),
        database.write(lambda c: cross(c, "b", "a")),
        return_exceptions=True,
    )
    assert None in results
    assert not any(isinstance(result, StoreUnavailable) for result in results)
    assert len(tries) > 2
    assert await database.read(count) == 2


async def test_missing_tables_say_how_to_make_them(postgres_schema_url: str) -> None:
    async with Database(postgres_schema_url) as database:
        with pytest.raises(StoreDamaged, match="run `lamplighter migrate`"):
            await database.read(count)


@pytest.mark.parametrize(
    ("user", "database", "says"),
    [("nobody:hunter2", "postgres", "refuses the user"), ("postgres:hunter2", "none", "create it")],
)
async def test_what_cannot_be_opened_says_why_and_shows_no_password(
    postgres_url: str, user: str, database: str, says: str
) -> None:
    url = postgres_url.replace("postgres@", f"{user}@").removesuffix("/postgres") + f"/{database}"
    with pytest.raises(StoreUnavailable, match=says) as caught:
        async with Database(url):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_server_with_no_connection_left_is_one_clear_error() -> None:
    settings = {"max_connections": "3", "superuser_reserved_connections": "0", "max_wal_senders": "0"}
    with private_postgres(fsync=False, settings=settings) as server:
        async with Database(server.url + "?patience=5") as database:
            await upgrade(database)
            with psycopg.connect(server.url), psycopg.connect(server.url):
                works = [database.write(adding(str(n))) for n in range(5)]
                results = await asyncio.gather(*works, return_exceptions=True)
            assert None in results
            refused = [result for result in results if result is not None]
            assert all(isinstance(result, StoreUnavailable) for result in refused)
            assert all("no connection left" in str(result) for result in refused)


async def test_a_pooler_in_transaction_mode_may_stand_in_between(postgres_schema_url: str, postgres_url: str) -> None:
    schema = postgres_schema_url.partition("?")[2]
    with private_pgbouncer(postgres_url, settings={"default_pool_size": "2"}) as pooler:
        async with Database(f"{pooler.url}?{schema}&pooler=transaction") as database:
            await asyncio.gather(*(upgrade(database) for _ in range(2)))
            await asyncio.gather(*(database.write(adding(f"t{n}")) for n in range(50)))
            assert set(await asyncio.gather(*(database.read(count) for _ in range(50)))) == {50}


async def test_a_cancelled_wait_does_not_undo_a_write(database: Database, postgres_schema_url: str) -> None:
    began = asyncio.Event()

    def work(connection: Connection) -> None:
        add(connection, "t")
        began.set()

    async with Database(postgres_schema_url) as other:
        write = asyncio.create_task(other.write(work))
        await began.wait()
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
    assert await database.read(count) == 1


async def test_other_loops_may_use_it_too(database: Database) -> None:
    def elsewhere(name: str) -> None:
        asyncio.run(database.write(adding(name)))

    with ThreadPoolExecutor(3) as threads:
        for ended in [threads.submit(elsewhere, f"t{n}") for n in range(3)]:
            await asyncio.wrap_future(ended)
    assert await database.read(count) == 3
