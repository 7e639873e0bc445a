"""Hints that jobs may have changed, from a channel that the scripts ring."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import hiredis

from lamplighter.core.errors import LamplighterError, StoreUnavailable
from lamplighter.store.alarm import Alarm
from lamplighter.store.redis.errors import Away, code_of, explain
from lamplighter.store.redis.seek import Seeker
from lamplighter.store.redis.url import Place
from lamplighter.store.redis.wire import Lost, Wire

BREATH = (
    0.002  # seconds between hints: with many busy workers, an idle one would look for jobs after each of their calls
)
QUIET = 15.0  # seconds without a word after which the server is asked whether it is still there
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0  # seconds between tries to hear again
_log = logging.getLogger("lamplighter.store")


class Listener:
    """Many may listen in one event loop; they share one connection, which is there only while someone does."""

    def __init__(self, place: Place, channel: str) -> None:
        self._seeker = Seeker(place)
        self._channel = channel
        self._alarms: set[Alarm] = set()
        self._task: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._resting = False
        self._missed = False
        self._closed = False

    async def hints(self) -> AsyncIterator[None]:
        """Yields soon after a change, and whenever hearing begins (anew): something may have been missed."""
        alarm = Alarm()
        self._alarms.add(alarm)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="lamplighter-listener")
        try:
            while True:
                await alarm.sleep(None)
                if self._closed:
                    raise StoreUnavailable("the store is not open any more: open it again to hear from it.")
                yield
        finally:
            self._alarms.discard(alarm)
            if not self._alarms:
                self._task.cancel()

    async def close(self) -> None:
        """Send all listeners away."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._ring_all()

    def _ring(self) -> None:
        """Hint now, or after the breath that follows the last hint."""
        if self._resting:
            self._missed = True
            return
        self._ring_all()
        self._resting, self._missed = True, False
        asyncio.get_running_loop().call_later(BREATH, self._go_on)

    def _go_on(self) -> None:
        self._resting = False
        if self._missed:
            self._ring()

    def _ring_all(self) -> None:
        for alarm in self._alarms:
            alarm.ring()

    def _hear(self, message: list[Any]) -> None:
        if message[0] == b"sunsubscribe":  # our slot goes to another node, and the channel with it
            self._end(ConnectionResetError("the channel moved"))
        else:
            self._ring()

    def _end(self, why: Exception) -> None:
        if self._wire is not None:
            self._wire.close(why)

    async def _listen(self) -> None:
        pause, warned = FIRST_PAUSE, False
        while True:
            try:
                await self._subscribe()
                pause = FIRST_PAUSE
                self._ring()
                await self._until_lost()
            except (Away, Lost):
                pass  # whoever asks the store for anything hears of it; here it is only about hints
            except LamplighterError as error:
                if not warned:
                    _log.warning("Jobs are found only by looking every second or so: %s", error)
                warned, pause = True, LONGEST_PAUSE
            finally:
                self._end(ConnectionResetError("not needed any more"))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _subscribe(self) -> None:
        """To the sharded channel of Redis 7 and newer, or else the plain one: `lua/_ring.lua` chooses likewise."""
        self._wire = wire = await self._seeker.connect(hear=self._hear)
        reply = await wire.ask("SSUBSCRIBE", self._channel)
        if isinstance(reply, hiredis.ReplyError) and "unknown command" in str(reply):
            reply = await wire.ask("SUBSCRIBE", self._channel)
        if isinstance(reply, hiredis.ReplyError):
            if code_of(reply) == "MOVED":
                self._seeker.moved(reply)
            raise explain(reply, self._seeker.at)

    async def _until_lost(self) -> None:
        assert self._wire is not None
        while self._wire.lost is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET):
                    await self._wire.ended.wait()
                    return
            await self._wire.ask("PING")
