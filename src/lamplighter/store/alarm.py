"""Sleep that another task, thread or loop can end early, without a task per nap."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Alarm:
    """One sleeper, any number of ringers. A ring while nobody sleeps makes the next sleep end at once."""

    def __init__(self) -> None:
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def ring(self) -> None:
        """Wake the sleeper; callable from any thread."""
        self._rung = True
        if self._loop is None:
            return
        if self._loop is _running_loop():
            self._end()
            return
        with suppress(RuntimeError):  # that loop is closed, and with it the sleeper gone: no concern of the ringer's
            self._loop.call_soon_threadsafe(self._end)

    async def sleep(self, seconds: float | None) -> bool:
        """Sleep so long at most (None: until rung); true when it was rung."""
        self._loop = asyncio.get_running_loop()
        if not self._rung:
            self._sleeper = self._loop.create_future()
            timer = None if seconds is None else self._loop.call_later(max(seconds, 0), self._end)
            try:
                if not self._rung:  # a thread may have rung between the look and the future
                    await self._sleeper
            finally:
                if timer is not None:
                    timer.cancel()
                self._sleeper = None
        rung, self._rung = self._rung, False
        return rung

    def _end(self) -> None:
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
