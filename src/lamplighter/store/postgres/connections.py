"""A few connections to PostgreSQL, all of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from lamplighter.core.errors import StoreError
from lamplighter.store.postgres.errors import explained, is_answer
from lamplighter.store.postgres.together import Together
from lamplighter.store.postgres.url import Place

QUIET = 0.002  # seconds at least between two words to other processes: a NOTIFY makes all commits of its database wait
LAST_WORD = 1.0  # seconds that the last one may take

# What we list lies in the order of an index, whatever the server believes of tables that grow and shrink in seconds.
# Compiling would take longer than our statements run, and so does planning them for each value anew.
PLANS = {"enable_bitmapscan": "off", "enable_sort": "off", "jit": "off", "plan_cache_mode": "force_generic_plan"}

ISOLATION = "read committed"  # whatever the database's is: who waited for the owner before has to see what that one did

Connection = asyncpg.Connection


async def connect(place: Place) -> Connection:
    """One more connection. A pooler shares it with others, so nothing is set or remembered on it there."""
    pooled = place.pooler == "transaction"
    settings = {"application_name": "lamplighter"}
    if not pooled:
        limits = {"statement_timeout": str(place.statement_timeout), "lock_timeout": str(place.lock_timeout)}
        settings |= {**limits, **PLANS, "default_transaction_isolation": ISOLATION}
    return await asyncpg.connect(
        place.dsn, timeout=place.patience, statement_cache_size=0 if pooled else 100, server_settings=settings
    )


class Connections:
    """Opened as they are needed, up to a number; the one that was used last is used next.

    One that gave no answer is never used again, and all that are idle are dropped with it: what broke it broke them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._slots = asyncio.Semaphore(place.connections)
        self._idle: list[Connection] = []
        self._words: tuple[str, ...] = ()
        self._speaking: asyncio.Task[None] | None = None
        self._parting: set[asyncio.Task[None]] = set()
        self._closed = False
        self.together = Together()

    async def fetch(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """The rows of one statement, which is a transaction of its own.

        Raises:
            StoreError: see `errors`.
        """
        with explained(self._place.shown):
            try:
                async with asyncio.timeout(self._place.patience), self.one() as connection:
                    if self._place.pooler == "none":
                        return await connection.fetch(statement, *args)
                    return await _between_begin_and_commit(connection, statement, args)
            except TimeoutError:
                self._drop()
                raise

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """A connection, for as long as the block lasts."""
        async with self._slots:
            connection = await self._take()
            try:
                yield connection
            except asyncio.CancelledError:
                self._part_from(connection)
                raise
            except BaseException as error:
                if is_answer(error):
                    self._give_back(connection)
                else:
                    self._drop(connection)
                raise
            self._give_back(connection)

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
        if self._parting:
            await asyncio.wait(self._parting)
        while self._idle:
            await _close(self._idle.pop())

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await connect(self._place)

    def _give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)

    def _part_from(self, connection: Connection) -> None:
        """Its answer is waited for no more; the server is told so, or would go on with the statement, and its locks."""
        parting = asyncio.create_task(_close(connection))
        self._parting.add(parting)
        parting.add_done_callback(self._parting.discard)

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


async def _close(connection: Connection) -> None:
    """In good order, if the server answers. asyncpg first cancels what is under way."""
    with suppress(Exception):
        await connection.close(timeout=LAST_WORD)


async def _between_begin_and_commit(
    connection: Connection, statement: str, args: tuple[Any, ...]
) -> list[asyncpg.Record]:
    """Or a pooler would hand each half of a call to another server. Nothing is rolled back where nobody answers."""
    await connection.execute(f"BEGIN ISOLATION LEVEL {ISOLATION}")
    try:
        rows = await connection.fetch(statement, *args)
    except asyncpg.PostgresError as error:
        if is_answer(error):
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    return rows
