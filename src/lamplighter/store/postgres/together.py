"""One read for all who ask for the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Together:
    """Who asks while a read is under way gets the next one, with all others who do: it begins after each of them asked.

    So a dashboard that is open a hundred times costs a server that is slow no more than two reads at a time.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[Any]] = {}
        self._next: dict[str, asyncio.Task[Any]] = {}

    async def read(self, name: str, read: Callable[[], Awaitable[Any]]) -> Any:
        """What `read()` returns or raises; one reader that is cancelled leaves the others waiting."""
        task = self._next.get(name)
        if task is None:
            task = self._next[name] = asyncio.create_task(self._in_turn(name, read), name=f"lamplighter-{name}")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits
        return await asyncio.shield(task)

    async def _in_turn(self, name: str, read: Callable[[], Awaitable[Any]]) -> Any:
        if before := self._under_way.get(name):
            await asyncio.wait([before])
        self._under_way[name] = self._next.pop(name)
        try:
            return await read()
        finally:
            del self._under_way[name]
