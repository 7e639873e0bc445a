"""Hears the store's hints for a whole worker, so that it asks for them once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lamplighter.engine.patience import until_available
from lamplighter.store.base import Store

AGAIN = 1.0  # seconds until a store that has no hints to give, and ends at once, is asked again


async def listen(store: Store, *rings: Callable[[], None]) -> None:
    """Ring whenever the store hints that jobs may have changed, for ever."""

    async def hear() -> None:
        async for _ in store.wake():
            for ring in rings:
                ring()
        await asyncio.sleep(AGAIN)

    while True:
        await until_available(hear, "hear of new jobs")
