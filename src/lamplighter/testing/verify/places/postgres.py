"""Runs on PostgreSQL: always in a schema of their own, which is dropped after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import asyncpg

from lamplighter.core.secret import redact_url
from lamplighter.store.postgres.url import parse
from lamplighter.testing.proxy import FaultyProxy
from lamplighter.testing.servers import PostgresServer, private_postgres
from lamplighter.testing.verify.places.place import Place, between, new_name, started, with_options

MOST_CONNECTIONS = 80  # of a private server: few enough to be taken at once
PATIENCE = 2  # seconds, of workers on a private server
AGAIN = 0.02  # seconds between tries to take a connection that came free
CLOSING = 1.0  # seconds that sessions of ended processes may take to be gone

_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@asynccontextmanager
async def yours(url: str) -> AsyncIterator[Place]:
    """In a new schema of the database that a URL names, through a proxy where that can be."""
    schema = new_name()
    direct = with_options(url, {"schema": schema})
    reason = _unreachable(url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_drop, direct, schema)
        link = None if reason else await stack.enter_async_context(between(*_address(url)))
        yield Place(
            kind="postgres",
            url=link.url_for(direct) if link else direct,
            direct=direct,
            says=f"in the new schema {schema} of {redact_url(parse(url).shown)}, which is dropped after",
            link=link,
            unreachable=reason,
            patience=parse(url).patience,
            transactions=True,
            leftovers=lambda: _leftovers(direct, schema),
        )


@asynccontextmanager
async def private() -> AsyncIterator[Place]:
    """In a cluster that is started for the run."""
    schema = new_name()
    async with AsyncExitStack() as stack:
        starting = private_postgres(settings={"max_connections": str(MOST_CONNECTIONS)})
        server = await stack.enter_async_context(started(starting))
        link = await stack.enter_async_context(between("127.0.0.1", server.port))
        direct = with_options(server.url, {"schema": schema})
        yield Place(
            kind="postgres",
            url=with_options(link.url_for(direct), {"patience": str(PATIENCE), "connections": "4"}),
            direct=direct,
            says="on a PostgreSQL server that is started for this and removed after",
            server=server,
            crash=lambda: server.stop("immediate"),
            link=link,
            patience=PATIENCE,
            transactions=True,
            leftovers=lambda: _leftovers(direct, schema),
            hold_connections=lambda seconds: _hold_connections(server, link, seconds),
        )


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or 5432


def _unreachable(url: str) -> str:
    """Why no proxy can stand between."""
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    if "," in parts.netloc or not parts.hostname or "host" in options:
        return "the URL does not name one host, so no proxy can stand in for it"
    if options.get("sslmode", [""])[0] == "verify-full":
        return "sslmode=verify-full allows no proxy to stand in for the host"
    return ""


async def _drop(url: str, schema: str) -> None:
    with suppress(*_ERRORS):  # a server that is gone has nothing to be dropped
        async with _connected(url) as connection:
            await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


async def _leftovers(url: str, schema: str) -> list[str]:
    """Keys whose job is gone, and sessions that outlive the processes that opened them."""
    async with _connected(url) as connection:
        rows = await connection.fetch(
            f"SELECT key, job FROM {schema}.keys WHERE until IS NULL AND job NOT IN (SELECT id FROM {schema}.jobs)"  # noqa: S608
        )
        found = [f"the key {row['key']!r} is held by {row['job']}, which has ended" for row in rows]
        await asyncio.sleep(CLOSING)
        sessions = await connection.fetch(
            "SELECT state, query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND strpos(query, $1) > 0", schema
        )
        return found + [f"a session is still open, in {row['state']}: {row['query']:.100}" for row in sessions]


async def _hold_connections(server: PostgresServer, link: FaultyProxy, seconds: float) -> None:
    """Take every connection there is, also those that come free when all others break."""
    over = time.monotonic() + seconds
    held: list[Any] = []
    await asyncio.to_thread(link.cut)
    try:
        while time.monotonic() < over:
            try:
                held.append(await asyncpg.connect(server.url, timeout=seconds))
            except _ERRORS:
                await asyncio.sleep(AGAIN)
    finally:
        await asyncio.gather(*(connection.close(timeout=5) for connection in held), return_exceptions=True)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(parse(url).dsn, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


class PostgresTransactions:
    """One connection, opened again whenever it was lost."""

    errors: tuple[type[Exception], ...] = _ERRORS

    def __init__(self, url: str) -> None:
        self._place = parse(url)
        self._connection: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._connection is not None:
            self._connection.terminate()

    @asynccontextmanager
    async def begin(self, *, commit: bool) -> AsyncIterator[Any]:
        """A transaction for as long as the block lasts."""
        try:
            async with asyncio.timeout(self._place.patience):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._place.dsn, timeout=self._place.patience)
                transaction = self._connection.transaction()
                await transaction.start()
                yield self._connection
                await (transaction.commit() if commit else transaction.rollback())
        except BaseException:
            if self._connection is not None:
                self._connection.terminate()
            raise
