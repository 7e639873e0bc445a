"""Hints that jobs may have changed: here at once, and over LISTEN and NOTIFY in other processes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from lamplighter.store.alarm import Alarm
from lamplighter.store.per_loop import PerLoop
from lamplighter.store.postgres.connections import Connection, connect
from lamplighter.store.postgres.url import Place

CHECK_EVERY = 15.0  # seconds: a connection that nobody answers any more would be deaf unheard
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between tries to hear again


class Bell:
    """Many may listen; each event loop that does has one connection for it. A pooler can keep none, so there they hear
    this process only, and go by polling for the rest."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._alarms: dict[Alarm, asyncio.AbstractEventLoop] = {}
        self._ears: PerLoop[None] = PerLoop(self._ear)
        self._voice = secrets.token_hex(8)

    @property
    def words(self) -> tuple[str, str]:
        """What to NOTIFY. Whose payload it is, nobody rings for twice."""
        return channel(self._place.schema), self._voice

    def ring(self) -> None:
        """Wake all who listen in this process."""
        for alarm in tuple(self._alarms):
            alarm.ring()

    async def listen(self) -> AsyncIterator[None]:
        """Yields soon after a change."""
        alarm = Alarm()
        self._alarms[alarm] = asyncio.get_running_loop()
        try:
            if self._place.pooler == "none":
                await self._ears.here()
            while True:
                await alarm.sleep(None)
                yield
        finally:
            del self._alarms[alarm]

    async def close(self) -> None:
        """Stop hearing."""
        await self._ears.close()

    @asynccontextmanager
    async def _ear(self) -> AsyncIterator[None]:
        hearing = asyncio.create_task(self._hear_on(), name="lamplighter-ear")
        try:
            yield
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])

    async def _hear_on(self) -> None:
        pause = FIRST_PAUSE
        while True:
            with suppress(Exception):  # whoever polls meets the same, and tells it
                await self._hear()
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _hear(self) -> None:
        """Until the connection is lost."""
        loop = asyncio.get_running_loop()

        def heard(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
            if payload != self._voice:
                self._ring(loop)

        connection = await connect(self._place)
        try:
            await connection.add_listener(channel(self._place.schema), heard)
            self._ring(loop)  # something may have been said while nobody heard
            await self._until_lost(connection)
        finally:
            connection.terminate()

    async def _until_lost(self, connection: Connection) -> None:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        while not lost.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), CHECK_EVERY)
            if not lost.is_set():
                await connection.execute("SELECT 1", timeout=self._place.patience)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        for alarm, its_loop in tuple(self._alarms.items()):
            if its_loop is loop:
                alarm.ring()


def channel(schema: str) -> str:
    """What is said of the jobs in a schema."""
    return f"lamplighter_{schema}"
