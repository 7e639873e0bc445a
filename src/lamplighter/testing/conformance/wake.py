"""Waking: a hint that jobs may have changed comes soon, from any handle and any thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from lamplighter.store.base import Store
from lamplighter.testing.conformance._make import EVERY, NOW, OpenAgain, add, job, later

SOON = 5  # seconds


@asynccontextmanager
async def woken(store: Store) -> AsyncIterator[Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]]:
    """A function that makes changes until the store says so: it may begin to listen a little later than it is asked."""
    hint = asyncio.Event()

    async def listen() -> None:
        async for _ in store.wake():
            hint.set()

    async def until_woken(change: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(SOON):
            while not hint.is_set():
                await change()
                await asyncio.sleep(0.005)

    task = asyncio.create_task(listen())
    try:
        yield until_woken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_adding_wakes(store: Store) -> None:
    async with woken(store) as until_woken:
        await until_woken(lambda: add(store, job()))


async def test_a_job_coming_due_wakes(store: Store) -> None:
    async with woken(store) as until_woken:
        await add(store, *(job(run_at=later(n)) for n in range(1, 1000)))
        seconds = iter(range(1, 1000))
        await until_woken(lambda: store.sweep(10, now=later(next(seconds))))


async def test_an_operators_retry_wakes(store: Store) -> None:
    async def there_and_back() -> None:
        await store.cancel(EVERY, limit=1, now=NOW)
        await store.retry(EVERY, limit=1, now=NOW)

    await add(store, job())
    async with woken(store) as until_woken:
        await until_woken(there_and_back)


async def test_another_handle_wakes(store: Store, open_again: OpenAgain) -> None:
    async with open_again() as twin, woken(store) as until_woken:
        await until_woken(lambda: add(twin, job()))


async def test_another_thread_wakes(store: Store) -> None:
    async with woken(store) as until_woken:
        await until_woken(lambda: asyncio.to_thread(lambda: asyncio.run(add(store, job()))))


async def test_all_who_wait_are_woken(store: Store) -> None:
    async with woken(store) as one, woken(store) as other:
        await one(lambda: add(store, job()))
        await other(lambda: add(store, job()))
