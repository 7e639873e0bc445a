"""The same suite through PgBouncer in transaction mode, where no two transactions need share a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from hypothesis import settings
from tests.services import fresh_schema

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.model import State, Where
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing.conformance import *  # noqa: F403
from lamplighter.testing.conformance._make import NOW, OpenAgain, add, ids_of, job
from lamplighter.testing.conformance.model import HISTORIES, compare
from lamplighter.testing.proxy import FaultyProxy
from lamplighter.testing.servers import private_pgbouncer

# Nobody can LISTEN through such a pooler: others are heard by polling, as `pooler=transaction` says.
del globals()["test_another_handle_wakes"]
FEWER = settings(HISTORIES, max_examples=10)  # through a bouncer each takes seconds


@pytest.fixture
async def store(postgres_url: str, pgbouncer_url: str) -> AsyncIterator[Store]:
    with fresh_schema(postgres_url) as direct:
        schema = direct.rpartition("=")[2]
        async with open_store(f"{pgbouncer_url}?schema={schema}&pooler=transaction") as opened:
            yield opened


@pytest.fixture
def open_again(store: Store) -> OpenAgain:
    return partial(open_store, store.url)


async def test_every_history_is_that_of_the_model(store: Store) -> None:
    await asyncio.to_thread(compare, store, FEWER)


async def test_many_may_start_at_once_through_a_pooler(postgres_url: str, pgbouncer_url: str) -> None:
    with fresh_schema(postgres_url) as direct:
        url = f"{pgbouncer_url}?schema={direct.rpartition('=')[2]}&pooler=transaction"

        async def open_and_add() -> None:
            async with open_store(url) as store:
                await add(store, job())

        await asyncio.gather(*(open_and_add() for _ in range(8)))
        async with open_store(url) as store:
            assert len(await ids_of(store)) == 8


async def test_a_worker_hears_of_another_process_by_polling(store: Store) -> None:
    async def double(ctx: Ctx[None], number: int) -> int:
        return 2 * number

    working: App[None] = App(store.url, settings=Settings())
    adding: App[None] = App(store.url, settings=Settings())
    working.job("double")(double)
    job_of_another = adding.job("double")(double)
    async with working, adding, working.worker(concurrency=10), asyncio.timeout(100):
        handles = await adding.enqueue(job_of_another.draft(number) for number in range(50))
        assert [await handle.result(timeout=90) for handle in handles] == [2 * number for number in range(50)]
    assert len(await ids_of(store, Where(states=(State.DONE,)))) == 50


async def test_a_frozen_network_to_the_pooler_costs_the_patience_and_no_more(postgres_url: str) -> None:
    with fresh_schema(postgres_url) as direct, private_pgbouncer(postgres_url) as bouncer:
        schema = direct.rpartition("=")[2]
        with FaultyProxy("127.0.0.1", bouncer.port) as proxy:
            url = f"{proxy.url_for(bouncer.url)}?schema={schema}&pooler=transaction&patience=2"
            async with open_store(url) as store, asyncio.timeout(60):
                await add(store, job())
                await asyncio.to_thread(proxy.freeze)
                with pytest.raises(StoreUnavailable, match="did not answer in time"):
                    await add(store, job())
                await asyncio.to_thread(proxy.heal)
                await add(store, job())


async def test_what_the_server_refuses_ends_its_transaction(store: Store) -> None:
    new = job(name="a", priority=2**40)
    for _ in range(20):
        with pytest.raises(Exception, match="out of range"):
            await store.add([new], now=NOW)
    await add(store, job())
