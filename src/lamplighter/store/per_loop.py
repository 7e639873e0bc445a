"""One of something for each event loop, for connections belong to the loop that made them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 10  # seconds to wait for another loop to close what is its own


class PerLoop(Generic[T]):
    """Opened when a loop first asks, and closed in that loop: by `close`, or when the loop itself comes to its end.

    A task of the loop holds what is open. `asyncio.run` cancels all tasks before it closes its loop, so nothing stays
    open behind a loop that is gone.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._make = make
        self._holders: dict[asyncio.AbstractEventLoop, _Holder[T]] = {}

    async def here(self) -> T:
        """The one of the running loop. Raises what opening it raises; the next call then tries again."""
        loop = asyncio.get_running_loop()
        holder = self._holders.get(loop)
        if holder is None:
            holder = self._holders[loop] = _Holder(self._make, lambda: self._holders.pop(loop, None))
        if holder.opened is not None:
            return holder.opened
        return await asyncio.shield(holder.opening)

    async def close(self) -> None:
        """Close every one of them, each in its own loop; one whose loop stands still is closed when it goes on."""
        for loop, holder in list(self._holders.items()):
            if loop is asyncio.get_running_loop():
                holder.task.cancel()
                await asyncio.wait([holder.task])
            elif not loop.is_closed():
                await _closed_elsewhere(loop, holder.task)
        self._holders.clear()


class _Holder(Generic[T]):
    """A task that holds something open for as long as the loop lets it."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]], gone: Callable[[], object]) -> None:
        self.opened: T | None = None
        self.opening: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits
        self.task = asyncio.create_task(self._hold(make, gone), name="lamplighter-connections")

    async def _hold(self, make: Callable[[], AbstractAsyncContextManager[T]], gone: Callable[[], object]) -> None:
        try:
            async with make() as opened:
                self.opened = opened
                self.opening.set_result(opened)
                await asyncio.get_running_loop().create_future()  # until cancelled
        except Exception as error:
            if self.opening.done():
                raise
            self.opening.set_exception(error)
        finally:
            self.opened = None
            self.opening.cancel()
            gone()


async def _closed_elsewhere(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    ended: Future[None] = Future()

    def cancel() -> None:
        task.add_done_callback(lambda _: ended.set_result(None))
        task.cancel()

    try:
        loop.call_soon_threadsafe(cancel)
    except RuntimeError:  # it was closed just now, and its tasks ended before that
        return
    if loop.is_running():
        await asyncio.wait([asyncio.wrap_future(ended)], timeout=PATIENCE)
