"""Everything that goes wrong with a server, and the one sentence that each comes to. No password is in any."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import asyncpg
import psycopg
import pytest
from tests.store.postgres.behind import Behind

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.core.errors import LamplighterError, StoreDamaged, StoreUnavailable
from lamplighter.core.model import Keep
from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.conformance._make import (
    EVERY,
    NOW,
    add,
    claim,
    end,
    ended,
    ids_of,
    job,
    started,
    unique,
)
from lamplighter.testing.proxy import FaultyProxy
from lamplighter.testing.servers import PostgresServer, private_postgres

SMALL = {"max_connections": "8", "superuser_reserved_connections": "0", "max_wal_senders": "0"}
Blocked = Callable[[PostgresStore], AbstractAsyncContextManager["asyncio.Task[Any]"]]


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with private_postgres(fsync=False, settings=SMALL) as started_server:
        yield started_server


@pytest.fixture(scope="module")
def peaceful() -> Iterator[PostgresServer]:
    """A server for tests that break nothing but their own users and databases."""
    with private_postgres(fsync=False) as started_server:
        yield started_server


@asynccontextmanager
async def stuck(store: PostgresStore, url: str) -> AsyncIterator[asyncio.Task[Any]]:
    """A call that waits for another transaction, on the server for certain."""
    holder = await asyncpg.connect(url)
    looker = Behind(await asyncpg.connect(url), store._place.schema)
    await holder.execute("BEGIN")
    await store.add([unique()], now=NOW, tx=holder)
    call = asyncio.create_task(store.add([unique()], now=NOW))
    await looker.until_waiting()
    await looker.connection.close()
    yield call
    holder.terminate()


@pytest.mark.parametrize("how", ["immediate", "kill"])
async def test_a_call_that_is_under_way_when_the_server_goes_is_told_so(
    server: PostgresServer, how: Literal["immediate", "kill"]
) -> None:
    async with open_store(server.url) as store:
        assert isinstance(store, PostgresStore)
        kept = await add(store, job())
        async with stuck(store, server.url) as call:
            if how == "kill":
                await asyncio.to_thread(server.kill)
            else:
                await asyncio.to_thread(server.stop, how)
            with pytest.raises(StoreUnavailable, match=r"^the database postgresql://.*\.$"):
                await call
        with pytest.raises(StoreUnavailable, match=r"cannot be reached: see that it is up, and the host and port"):
            await add(store, job())
        await asyncio.to_thread(server.start)
        assert await ids_of(store) == kept
        await add(store, unique())


async def test_a_call_that_meets_a_stop_in_good_order_is_told_so_or_done(server: PostgresServer) -> None:
    async with open_store(server.url) as store:
        assert isinstance(store, PostgresStore)
        async with stuck(store, server.url) as call:
            await asyncio.to_thread(server.stop, "fast")  # it may end first what the call waits for
            ends: tuple[Any] = await asyncio.gather(call, return_exceptions=True)
        await asyncio.to_thread(server.start)
        kept = await ids_of(store)
    assert [one.id for one in ends[0]] == kept if kept else isinstance(ends[0], StoreUnavailable)


async def test_a_worker_waits_for_its_server_and_goes_on(server: PostgresServer) -> None:
    app: App[None] = App(server.url, settings=Settings())
    done: asyncio.Queue[int] = asyncio.Queue()

    @app.job("note")
    async def note(ctx: Ctx[None], number: int) -> None:
        await done.put(number)

    async with app, app.worker(concurrency=4), asyncio.timeout(100):
        await note.enqueue(1)
        assert await done.get() == 1
        await asyncio.to_thread(server.stop)
        with pytest.raises(StoreUnavailable):
            await note.enqueue(2)
        await asyncio.to_thread(server.start)
        await note.enqueue(3)
        assert await done.get() == 3


async def test_a_connection_that_an_administrator_ends_takes_one_call_along(peaceful: PostgresServer) -> None:
    looker = await asyncpg.connect(peaceful.url)
    async with open_store(f"{peaceful.url}?schema=ended") as store:
        assert isinstance(store, PostgresStore)
        async with stuck(store, peaceful.url) as call:
            await looker.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
            )
            with pytest.raises(StoreUnavailable, match=r"is shutting down or starting up|was lost in mid-sentence"):
                await call
        await add(store, unique())
    await looker.close()


async def test_a_call_that_an_administrator_cancels_says_so_and_its_connection_stays(peaceful: PostgresServer) -> None:
    looker = await asyncpg.connect(peaceful.url)
    async with open_store(f"{peaceful.url}?schema=cancelled&connections=1") as store:
        assert isinstance(store, PostgresStore)
        async with stuck(store, peaceful.url) as call:
            blocked = await looker.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
            )
            await looker.execute("SELECT pg_cancel_backend($1)", blocked)
            with pytest.raises(StoreUnavailable, match=r"was not done in time: see what holds it up"):
                await call
        await add(store, unique())
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'lamplighter'"
        assert await looker.fetchval(ours) == blocked
    await looker.close()


async def test_a_frozen_network_costs_the_patience_and_no_more(peaceful: PostgresServer) -> None:
    with FaultyProxy("127.0.0.1", peaceful.port) as proxy:
        async with open_store(f"{proxy.url_for(peaceful.url)}?schema=frozen&patience=2") as store:
            [kept] = await add(store, job())
            await asyncio.to_thread(proxy.freeze)
            answers = await asyncio.gather(*(store.stats() for _ in range(5)), return_exceptions=True)
            assert {type(answer) for answer in answers} == {StoreUnavailable}
            assert all(str(answer).endswith("pg_stat_activity.") for answer in answers)
            await asyncio.to_thread(proxy.heal)
            async with asyncio.timeout(60):
                while True:
                    try:
                        assert await ids_of(store) == [kept]
                        break
                    except StoreUnavailable:
                        continue


async def test_a_cut_network_costs_one_call_each_connection(peaceful: PostgresServer) -> None:
    with FaultyProxy("127.0.0.1", peaceful.port) as proxy:
        async with open_store(f"{proxy.url_for(peaceful.url)}?schema=cut") as store:
            assert isinstance(store, PostgresStore)
            async with stuck(store, peaceful.url) as call:
                await asyncio.to_thread(proxy.cut)
                with pytest.raises(StoreUnavailable, match=r"was lost in mid-sentence|cannot be reached"):
                    await call
            await add(store, job())


async def test_a_server_without_a_connection_left_says_what_to_do(server: PostgresServer) -> None:
    async with open_store(server.url) as store:
        await add(store, job())
        others = [asyncpg.connect(server.url) for _ in range(int(SMALL["max_connections"]))]
        answers = await asyncio.gather(*others, return_exceptions=True)
        await add(store, job())  # on the connection that it has
        with pytest.raises(StoreUnavailable, match=r"has no connection left: raise its max_connections, lower"):
            await open_store(server.url).__aenter__()
        for answer in answers:
            if isinstance(answer, asyncpg.Connection):
                await answer.close()


def other_database(server: PostgresServer, name: str) -> str:
    return f"{server.url.rpartition('/')[0]}/{name}"


async def administer(server: PostgresServer, *statements: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(server.url, database=database)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def test_a_database_that_takes_no_writes_is_told_apart(peaceful: PostgresServer) -> None:
    url = other_database(peaceful, "standby")
    await administer(peaceful, "CREATE DATABASE standby")
    async with open_store(url) as store:
        await add(store, job())
    await administer(peaceful, "ALTER DATABASE standby SET default_transaction_read_only = on")
    async with open_store(url) as store:
        assert len(await ids_of(store)) == 1
        with pytest.raises(StoreUnavailable, match=r"takes no writes, as a standby does: point the store URL"):
            await add(store, job())


async def refused(url: str, kind: type[LamplighterError], sentence: str) -> str:
    with pytest.raises(kind, match=sentence) as error:
        await open_store(url).__aenter__()
    assert str(error.value).endswith(".")
    return str(error.value)


async def test_a_database_that_is_not_there_is_to_be_made(peaceful: PostgresServer) -> None:
    await refused(other_database(peaceful, "nowhere"), StoreUnavailable, "does not exist: create it, for")


async def test_a_user_who_may_make_no_schema_is_told_what_he_lacks(peaceful: PostgresServer) -> None:
    await administer(peaceful, "CREATE ROLE guest LOGIN")
    url = peaceful.url.replace("postgres@", "guest@")
    await refused(url, StoreUnavailable, "does not let this user do that: GRANT it, or name another user")


async def test_a_user_who_may_only_use_the_tables_can_do_all_that_work_needs(peaceful: PostgresServer) -> None:
    url = f"{peaceful.url}?schema=granted"
    async with open_store(url):
        pass
    await administer(
        peaceful,
        "CREATE ROLE clerk LOGIN",
        "GRANT USAGE ON SCHEMA granted TO clerk",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA granted TO clerk",
        "CREATE ROLE reader LOGIN",
        "GRANT USAGE ON SCHEMA granted TO reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA granted TO reader",
    )
    async with open_store(url.replace("postgres@", "clerk@")) as store:
        await add(store, unique())
        [attempt] = await claim(store)
        await end(store, attempt, "done")
        await ended(store, "fail")
        await started(store, unique(mode="active"))
        await store.sweep(10, now=NOW)
        await store.retry(EVERY, limit=1, now=NOW)
        await store.cancel(EVERY, limit=9, now=NOW)
        assert await store.prune(Keep(0, 0), limit=9, now=NOW) == 2
        assert len(await store.stats()) == 1
    async with open_store(url.replace("postgres@", "reader@")) as store:
        assert len(await ids_of(store)) == 1
        with pytest.raises(StoreUnavailable, match="does not let this user do that: GRANT it"):
            await add(store, job())
        with psycopg.connect(peaceful.url.replace("postgres@", "reader@")) as tx:
            with pytest.raises(StoreUnavailable, match="does not let the user of tx do that: GRANT it"):
                store.add_within(tx, [job()], now=NOW)
            tx.rollback()


async def test_tables_that_somebody_dropped_are_told_to_be_made_again(peaceful: PostgresServer) -> None:
    async with open_store(f"{peaceful.url}?schema=dropped") as store:
        await administer(peaceful, "DROP SCHEMA dropped CASCADE")
        with pytest.raises(StoreDamaged, match=r"has no tables of Lamplighter, .*: run `lamplighter migrate`"):
            await add(store, job())


async def test_a_password_is_neither_told_nor_logged(server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await administer(server, "ALTER ROLE postgres PASSWORD 's3cret'")
    (server.folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    wrong = await refused(
        server.url.replace("postgres@", "postgres:wr0ng@"),
        StoreUnavailable,
        "refuses the user or its password: correct",
    )
    missing = await refused(server.url, StoreUnavailable, "refuses the user or its password|cannot be reached")
    async with open_store(server.url.replace("postgres@", "postgres:s3cret@")) as store:
        await add(store, job())
        told = (
            f"{wrong} {missing} {store.url} {store!r} {caplog.text} {[str(record.args) for record in caplog.records]}"
        )
        assert "s3cret" not in told
        assert "wr0ng" not in told
        await asyncio.to_thread(server.stop)
        with pytest.raises(StoreUnavailable) as away:
            await add(store, job())
    chain: BaseException | None = away.value
    while chain is not None:
        assert "s3cret" not in repr(chain)
        chain = chain.__cause__


async def test_what_the_server_says_is_kept_as_the_cause(peaceful: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable) as error:
        await open_store(other_database(peaceful, "nowhere")).__aenter__()
    assert isinstance(error.value.__cause__, asyncpg.InvalidCatalogNameError)
