"""The store that a command works on, opened for as long as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from lamplighter.core.config import load
from lamplighter.store.base import Store
from lamplighter.store.open import open_store

T = TypeVar("T")


def with_store(url: str | None, act: Callable[[Store], Awaitable[T]]) -> T:
    """What `act(store)` returns, with the store that the flag or the settings name."""
    settings = load(flags={"store": url}).settings

    async def run() -> T:
        async with open_store(settings.store) as store:
            return await act(store)

    return run_async(run())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, on uvloop where that is installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional, and slow to import
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
