"""Waking other processes: as little as possible is said, and it is heard again after the ear was lost."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.store.postgres.behind import Behind

from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.store.postgres.bell import channel
from lamplighter.store.postgres.connections import QUIET
from lamplighter.testing.conformance._make import NOW, add, ids_of, job
from lamplighter.testing.conformance.wake import woken

StartChild = Callable[..., subprocess.Popen[str]]
EARS = "SELECT pid FROM pg_stat_activity WHERE query ILIKE 'listen%SCHEMA%' AND pid <> pg_backend_pid()"


@asynccontextmanager
async def said(behind: Behind) -> AsyncIterator[list[object]]:
    """The payloads of what is said, so far."""
    heard: list[object] = []
    await behind.connection.add_listener(channel(behind.schema), lambda *words: heard.append(words[-1]))
    yield heard
    await behind.connection.reset()


async def until_all_was_said(store: PostgresStore) -> None:
    connections = await store._connections.here()
    while connections._speaking is not None and not connections._speaking.done():
        await asyncio.wait([connections._speaking])


async def test_of_what_comes_within_milliseconds_one_word_is_said(store: PostgresStore, behind: Behind) -> None:
    async def add_some() -> None:
        for _ in range(20):
            await add(store, job())

    async with said(behind) as heard:
        began = time.monotonic()
        await asyncio.gather(*(add_some() for _ in range(50)))
        await until_all_was_said(store)
        took = time.monotonic() - began
        await behind.rows("SELECT 1")  # whatever was said before this is heard by now
        assert 1 <= len(heard) <= took / QUIET + 1
        assert len(heard) < 1000


async def test_of_a_large_batch_one_word_is_said(store: PostgresStore, behind: Behind) -> None:
    async with said(behind) as heard:
        await add(store, *(job() for _ in range(10_000)))
        await until_all_was_said(store)
        await behind.rows("SELECT 1")
        assert len(heard) == 1


async def test_of_a_transaction_one_word_is_said(store: PostgresStore, behind: Behind, postgres_url: str) -> None:
    async with said(behind) as heard:
        async with behind.connection.transaction():
            for _ in range(10):
                await store.add([job()], now=NOW, tx=behind.connection)
        await behind.rows("SELECT 1")
        assert len(heard) == 1


@asynccontextmanager
async def counting(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[None]]:
    """How often the ear rang, once it hears."""
    rings: list[None] = []
    ring = store._bell._ring

    def count(loop: asyncio.AbstractEventLoop) -> None:
        rings.append(None)
        ring(loop)

    monkeypatch.setattr(store._bell, "_ring", count)
    waking = store.wake()
    await anext(waking)  # that it hears from now on
    assert rings == [None]
    yield rings
    await waking.aclose()  # type: ignore[attr-defined]


async def test_nobody_is_woken_twice_by_what_was_said_here(
    store: PostgresStore, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counting(store, monkeypatch) as rings, open_store(store.url) as other, said(behind) as heard:
        await add(store, job())
        await until_all_was_said(store)
        await add(other, job())
        async with asyncio.timeout(30):
            while len(heard) < 2 or len(rings) < 2:
                await behind.rows("SELECT 1")  # time for what was said to come
        assert len(rings) == 2, "once when it began to hear, and once for what was said elsewhere"


async def test_an_ear_that_was_lost_hears_again_and_rings_once(
    store: PostgresStore, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with counting(store, monkeypatch) as rings:
        [[ear]] = await behind.rows(EARS)
        await behind.rows("SELECT pg_terminate_backend($1)", ear)
        async with asyncio.timeout(30):
            await anext(store.wake())
        assert len(rings) == 2, "something may have been said while nobody heard"
        [[new_ear]] = await behind.rows(EARS)
        assert new_ear != ear
        async with woken(store) as until_woken:
            await until_woken(lambda: behind.rows(f"SELECT pg_notify('{channel(behind.schema)}', 'other')"))


@pytest.mark.parametrize("how", ["async with store:", "await store.__aenter__()\n    if True:"])
async def test_a_process_that_adds_and_ends_at_once_is_heard(
    store: PostgresStore, start: StartChild, behind: Behind, how: str
) -> None:
    script = f"""
import asyncio, sys
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import NOW, job

async def main():
    store = open_store(sys.argv[1])
    {how}
        await store.add([job()], now=NOW)

asyncio.run(main())
"""
    async with said(behind) as heard:
        child = start(script, store.url)
        assert await asyncio.to_thread(child.wait) == 0
        await behind.rows("SELECT 1")
        assert len(heard) == 1
    assert len(await ids_of(store)) == 1


async def test_a_name_of_the_greatest_length_can_be_listened_to(postgres_url: str, behind: Behind) -> None:
    schema = (behind.schema + "_" * 48)[:48]
    async with (
        open_store(f"{postgres_url}?schema={schema}") as one,
        open_store(one.url) as other,
        woken(one) as until_woken,
    ):
        await until_woken(lambda: add(other, job()))
    await behind.connection.execute(f"DROP SCHEMA {schema} CASCADE")
