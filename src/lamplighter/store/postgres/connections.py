"""A few connections to PostgreSQL, all of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from lamplighter.core.errors import StoreError
from lamplighter.store.postgres.errors import explained, is_answer
from lamplighter.store.postgres.url import Place

QUIET = 0.002  # seconds at least between two words to other processes: a NOTIFY makes all commits of its database wait
LAST_WORD = 1.0  # seconds that the last one may take

# What we list lies in the order of an index, whatever the server believes of tables that grow and shrink in seconds.
# Compiling would take longer than our statements run.
PLANS = {"enable_bitmapscan": "off", "enable_sort": "off", "jit": "off"}

Connection = asyncpg.Connection


async def connect(place: Place) -> Connection:
    """One more connection. A pooler shares it with others, so nothing is set or remembered on it there."""
    pooled = place.pooler == "transaction"
    settings = {"application_name": "lamplighter"}
    if not pooled:
        limits = {"statement_timeout": str(place.statement_timeout), "lock_timeout": str(place.lock_timeout)}
        settings |= {**limits, **PLANS}
    return await asyncpg.connect(
        place.dsn, timeout=place.patience, statement_cache_size=0 if pooled else 100, server_settings=settings
    )


class Connections:
    """Opened as they are needed, up to a number; the one that was used last is used next.

    One that gave no answer is dropped with all that are idle, and never used again: what broke it broke them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._slots = asyncio.Semaphore(place.connections)
        self._idle: list[Connection] = []
        self._words: tuple[str, ...] = ()
        self._speaking: asyncio.Task[None] | None = None
        self._closed = False

    async def fetch(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """The rows of one statement, which is a transaction of its own.

        Raises:
            StoreError: see `errors`.
        """
        with explained(self._place.shown):
            async with asyncio.timeout(self._place.patience), self.one() as connection:
                if self._place.pooler == "none":
                    return await connection.fetch(statement, *args)
                async with connection.transaction():  # or the pooler would hand each half of a call to another server
                    return await connection.fetch(statement, *args)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """A connection, for as long as the block lasts."""
        async with self._slots:
            connection = await self._take()
            try:
                yield connection
            except BaseException as error:
                if not is_answer(error):
                    self._drop(connection)
                raise
            finally:
                if self._closed:
                    self._drop(connection)
                elif not connection.is_closed():
                    self._idle.append(connection)

    def say(self, *words: str) -> None:
        """NOTIFY soon, with a channel and a payload; what is said meanwhile is said with it, for it is the same."""
        self._words = words
        if self._speaking is None or self._speaking.done():
            self._speaking = asyncio.create_task(self._speak())

    async def close(self) -> None:
        """Say what is still to be said, and let go of the server."""
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.wait([self._speaking])
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                await self._say_it()
        self._closed = True  # a call that is still under way drops its connection itself
        while self._idle:
            connection = self._idle.pop()
            with suppress(Exception):
                await connection.close(timeout=LAST_WORD)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await connect(self._place)

    def _drop(self, *broken: Connection) -> None:
        for connection in (*broken, *self._idle):
            connection.terminate()
        self._idle.clear()

    async def _speak(self) -> None:
        while self._words:
            with suppress(StoreError):  # only a hint
                await self._say_it()
            await asyncio.sleep(QUIET)

    async def _say_it(self) -> None:
        words, self._words = self._words, ()
        try:
            if words:
                await self.fetch("SELECT pg_notify($1, $2)", *words)
        except asyncio.CancelledError:
            self._words = words
            raise
