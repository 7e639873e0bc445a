"""The outbox: jobs that exist if and only if a transaction commits, though they are kept elsewhere."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.integrations.support import Home

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.core.draft import Draft
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.flow_control import QueueRule
from lamplighter.core.model import Added, NewJob, Where
from lamplighter.integrations.refreshing.outbox import Outbox, Waiting
from lamplighter.integrations.refreshing.relay import BATCH, Held
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import outbox as table
from lamplighter.store.memory import MemoryStore
from lamplighter.store.rules import record_of

SOON = 60  # seconds that anything may take on a machine under load


class Shop:
    """An app whose jobs are in memory, and an outbox for them in a database."""

    def __init__(self, database: Database | Engine | AsyncEngine, store: MemoryStore, **options: Any) -> None:
        self.app = App(store, settings=Settings())
        self.send = self.app.job("send", unique=False)(_send)
        self.outbox = Outbox(database, self.app, poll=0.05, **options)

    def drafts(self, count: int, first: int = 0) -> list[Draft[int]]:
        return [self.send.draft(number) for number in range(first, first + count)]

    async def jobs(self) -> list[tuple[str, str]]:
        """Ids and arguments of what the store has, oldest first."""
        found = await self.app.store.page(Where(), limit=1_000_000)
        return [(view.id, view.args) for view in reversed(found)]

    async def until_empty(self, refused: int = 0) -> None:
        async with asyncio.timeout(SOON):
            while await self.outbox.waiting() != Waiting(0, refused):  # noqa: ASYNC110 - other relays empty it too
                await asyncio.sleep(0.005)


async def _send(ctx: Ctx[None], number: int) -> int:
    return number


class Store(MemoryStore):
    """A store that is away while `away` is set, and refuses the jobs that `refuses` names."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = asyncio.Event()
        self.refuses: Callable[[NewJob], bool] = lambda _job: False
        self.batches: list[int] = []

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        self.asked.set()
        if self.away:
            raise StoreUnavailable("it is away.")
        if any(map(self.refuses, jobs)):
            raise TypeError("no such job")
        self.batches.append(len(jobs))
        return await super().add(jobs, now=now, tx=tx)


@pytest.fixture
async def database(home: Home) -> AsyncIterator[Database]:
    async with Database(home.url) as opened:
        await upgrade(opened)
        yield opened


@pytest.fixture
def store() -> Store:
    return Store()


@asynccontextmanager
async def relaying(*shops: Shop) -> AsyncIterator[None]:
    async with shops[0].app, shops[0].outbox.relaying():
        if shops[1:]:
            async with relaying(*shops[1:]):
                yield
        else:
            yield


def writing(shop: Shop, drafts: Sequence[Draft[int]]) -> Callable[[Connection], list[str]]:
    return lambda connection: [handle.id for handle in shop.outbox.enqueue_within(connection, drafts)]


async def test_jobs_exist_once_the_transaction_commits_under_the_ids_that_were_told(
    database: Database, store: Store
) -> None:
    shop = Shop(database, store)
    async with relaying(shop):
        ids = await database.write(writing(shop, shop.drafts(3)))
        await shop.until_empty()
    assert await shop.jobs() == [(id_, f'{{"number":{number}}}') for number, id_ in enumerate(ids)]


async def test_a_transaction_that_is_rolled_back_leaves_no_job(database: Database, store: Store) -> None:
    shop = Shop(database, store)

    def fails(connection: Connection) -> None:
        shop.outbox.enqueue_within(connection, shop.drafts(3))
        raise LookupError

    async with relaying(shop):
        with pytest.raises(LookupError):
            await database.write(fails)
        await database.write(writing(shop, shop.drafts(1, first=7)))
        await shop.until_empty()
    assert [args for _, args in await shop.jobs()] == ['{"number":7}']


async def test_what_was_written_without_a_relay_waits_for_one_and_comes_in_order(
    database: Database, store: Store
) -> None:
    shop = Shop(database, store)
    count = 2 * BATCH + 50
    for first in range(0, count, 50):
        await database.write(writing(shop, shop.drafts(50, first)))
    assert await shop.outbox.waiting() == Waiting(count, 0)
    async with relaying(shop):
        await shop.until_empty()
    assert [args for _, args in await shop.jobs()] == [f'{{"number":{number}}}' for number in range(count)]
    assert max(store.batches) == BATCH


async def test_several_relays_make_one_job_of_each_row(database: Database, store: Store) -> None:
    shops = [Shop(database, store) for _ in range(3)]
    async with relaying(*shops):
        ids = [
            id_
            for written in await asyncio.gather(
                *(database.write(writing(shop, shop.drafts(100, n * 100))) for n in range(4) for shop in shops)
            )
            for id_ in written
        ]
        await shops[0].until_empty()
    assert sorted(id_ for id_, _ in await shops[0].jobs()) == sorted(ids)
    assert sum(store.batches) == len(ids), "a row was taken by two relays"


async def test_a_store_that_is_away_is_waited_for_and_said_to_be_so_once(
    database: Database, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(database, store)
    store.away = True
    async with relaying(shop):
        await database.write(writing(shop, shop.drafts(5)))
        for _ in range(3):
            store.asked.clear()
            await asyncio.wait_for(store.asked.wait(), SOON)
        store.away = False
        await shop.until_empty()
    assert len(await shop.jobs()) == 5
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2, warnings
    assert "away" in warnings[0]
    assert "back" in warnings[1]


async def test_an_app_closes_though_its_store_is_away_and_nothing_is_lost(database: Database, store: Store) -> None:
    shop = Shop(database, store, lease=0.1)
    store.away = True
    async with relaying(shop):
        await database.write(writing(shop, shop.drafts(5)))
        await store.asked.wait()
    assert await shop.outbox.waiting() == Waiting(5, 0)
    store.away = False
    async with relaying(shop):
        await shop.until_empty()
    assert len(await shop.jobs()) == 5


@pytest.mark.parametrize("wrong", ["{}", "not JSON", '{"id": 7}'])
async def test_a_row_that_cannot_be_read_is_set_aside_until_somebody_mends_it(
    database: Database, store: Store, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    shop = Shop(database, store)
    await database.write(lambda c: c.execute(insert(table), {"id": "0", "job": wrong, "created_at": 0}).close())
    async with relaying(shop):
        [id_] = await database.write(writing(shop, shop.drafts(1)))
        await shop.until_empty(refused=1)
        assert [job for job, _ in await shop.jobs()] == [id_]
        [error] = [record.message for record in caplog.records if record.levelno == logging.ERROR]
        assert "Job 0 of the outbox cannot be added and is set aside: it cannot be read" in error
        mended = update(table).values(
            job='{"id":"0","name":"send","queue":"q","run_at":"2026-01-01T00:00:00Z"}', refused=None
        )
        await database.write(lambda connection: connection.execute(mended).close())
        await shop.until_empty()
    assert [job for job, _ in await shop.jobs()] == ["0", id_]


async def test_a_job_that_the_store_refuses_does_not_hold_up_the_others(database: Database, store: Store) -> None:
    shop = Shop(database, store)
    store.refuses = lambda job: job.args == '{"number":1}'
    async with relaying(shop):
        await database.write(writing(shop, shop.drafts(3)))
        await shop.until_empty(refused=1)
    assert [args for _, args in await shop.jobs()] == ['{"number":0}', '{"number":2}']
    reason = await database.read(lambda connection: connection.scalar(select(table.c.refused)))
    assert reason == "TypeError: no such job"


async def test_a_job_waits_in_the_outbox_until_its_queue_has_room(database: Database, store: Store) -> None:
    shop = Shop(database, store, lease=0.2)
    await store.put(record_of("narrow", QueueRule(most=1)))
    narrow = shop.send.using(queue="narrow")
    async with relaying(shop):
        first = await narrow.enqueue(0)
        await database.write(writing(shop, [narrow.draft(1), shop.send.draft(2)]))
        async with asyncio.timeout(SOON):
            while len(await shop.jobs()) < 2:  # noqa: ASYNC110 - the relay tells nobody
                await asyncio.sleep(0.005)
        assert await shop.outbox.waiting() != Waiting(0, 0), "what the queue had no room for is still there"
        await first.cancel()
        await shop.until_empty()
    assert {args for _, args in await shop.jobs()} == {'{"number":0}', '{"number":1}', '{"number":2}'}


async def test_who_asks_is_told_of_a_key_that_was_held(database: Database, store: Store) -> None:
    told: list[Held] = []

    async def on_held(held: Sequence[Held]) -> None:
        told.extend(held)

    shop = Shop(database, store, on_held=on_held)
    keyed = shop.send.using(unique="one")
    async with relaying(shop):
        holder = await keyed.enqueue(1)
        [id_] = await database.write(writing(shop, [keyed.draft(2)]))
        await shop.until_empty()
        await database.write(writing(shop, [keyed.using(when_held="replace").draft(3)]))
        await shop.until_empty()
    assert [(held.job.id, held.holder) for held in told] == [(id_, holder.id)], "what replaced it is not lost"
    assert await shop.jobs() == [(holder.id, '{"number":3}')]


async def test_a_running_job_hands_its_key_on_by_way_of_the_outbox(database: Database, store: Store) -> None:
    app = App(store, settings=Settings())

    @app.job(unique="chain", keep_done=None)
    async def link(ctx: Ctx[None], number: int) -> int:
        if number < 3:
            draft = link.draft(number + 1)
            await database.write(lambda connection: outbox.enqueue_within(connection, [draft]) and None)
            await Shop.until_empty(shop)
        return number

    outbox = Outbox(database, app, poll=0.05)
    shop = Shop(database, store)
    app.lifespan(outbox.relaying)
    async with app, app.worker() as worker:
        await link.enqueue(0)
        await app.until_idle(worker)
    assert [args for _, args in await shop.jobs()] == [f'{{"number":{number}}}' for number in range(4)]


async def test_an_outbox_of_any_length_takes_the_same_memory(database: Database) -> None:
    class Counts(MemoryStore):
        seen = 0

        async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
            self.seen += len(jobs)
            return [Added(job.id, created=True) for job in jobs]

    store = Counts()
    shop = Shop(database, store)
    for first in range(0, 10_000, 1_000):
        await database.write(writing(shop, shop.drafts(1_000, first)))
    tracemalloc.start()
    try:
        async with relaying(shop):
            await shop.until_empty()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.seen == 10_000
    assert peak < 4_000_000


@pytest.fixture
def engine(home: Home) -> Engine:
    if home.url.startswith("sqlite"):
        return create_engine(home.url)
    address, _, schema = home.url.partition("?schema=")
    made = create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    _with_schema(made, schema)
    return made


def _with_schema(engine: Engine, schema: str) -> None:
    """As a host's tables would be in a schema of its own."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute(f"SET search_path TO {schema}")
        connection.commit()


async def test_a_host_uses_it_in_sessions_on_an_engine_of_its_own(engine: Engine, store: Store) -> None:
    shop = Shop(engine, store)
    await shop.outbox.create_table()
    await shop.outbox.create_table()
    try:
        async with relaying(shop):
            with Session(engine) as session, session.begin():
                [kept] = shop.outbox.enqueue_within(session, shop.drafts(1))
            with Session(engine) as session:
                shop.outbox.enqueue_within(session, shop.drafts(1, first=1))
                session.rollback()
            await shop.until_empty()
        assert [job for job, _ in await shop.jobs()] == [kept.id]
    finally:
        engine.dispose()


async def test_a_host_uses_it_in_asynchronous_sessions_too(postgres_schema_url: str, store: Store) -> None:
    address, _, schema = postgres_schema_url.partition("?schema=")
    engine = create_async_engine(address.replace("postgresql:", "postgresql+asyncpg:"))
    _with_schema(engine.sync_engine, schema)
    shop = Shop(engine, store)
    await shop.outbox.create_table()
    try:
        async with relaying(shop):
            async with AsyncSession(engine) as session, session.begin():
                [kept] = await shop.outbox.enqueue(shop.drafts(1), tx=session)
            async with engine.connect() as connection:
                await shop.outbox.enqueue(shop.drafts(1, first=1), tx=connection)
                await connection.rollback()
            await shop.until_empty()
        assert [job for job, _ in await shop.jobs()] == [kept.id]
    finally:
        await engine.dispose()


async def test_a_hosts_database_without_the_table_says_what_is_missing(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/theirs.db")
    shop = Shop(engine, store)
    with pytest.raises(StoreUnavailable, match="has the table lamp_outbox"):
        await shop.outbox.waiting()
    engine.dispose()
