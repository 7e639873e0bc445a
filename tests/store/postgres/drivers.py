"""A transaction of the application's own, by every driver that can lend us one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import psycopg
from psycopg.rows import dict_row
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session


class Open(NamedTuple):
    """A transaction that has begun."""

    tx: Any
    run: Callable[[str], Awaitable[Any]]  # a statement of the application's
    synchronous: bool = False


Begin = Callable[[str], AbstractAsyncContextManager[Open]]


@asynccontextmanager
async def asyncpg_connection(url: str) -> AsyncIterator[Open]:
    connection = await asyncpg.connect(url)
    await connection.execute("BEGIN")
    yield Open(connection, connection.execute)
    await connection.close()


@asynccontextmanager
async def asyncpg_pool(url: str) -> AsyncIterator[Open]:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        await connection.execute("BEGIN")
        yield Open(connection, connection.execute)


@asynccontextmanager
async def psycopg_async(url: str) -> AsyncIterator[Open]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield Open(connection, lambda statement: connection.execute(statement.encode()))


@asynccontextmanager
async def psycopg_async_with_rows_as_dicts(url: str) -> AsyncIterator[Open]:
    async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
        connection.cursor_factory = psycopg.AsyncRawCursor
        yield Open(connection, lambda statement: connection.execute(statement.encode()))


@asynccontextmanager
async def psycopg_sync(url: str) -> AsyncIterator[Open]:
    with psycopg.connect(url) as connection:
        yield Open(connection, _later(lambda statement: connection.execute(statement.encode())), synchronous=True)


@asynccontextmanager
async def psycopg_sync_with_rows_as_dicts(url: str) -> AsyncIterator[Open]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.cursor_factory = psycopg.RawCursor
        yield Open(connection, _later(lambda statement: connection.execute(statement.encode())), synchronous=True)


@asynccontextmanager
async def sqlalchemy_async_connection(url: str) -> AsyncIterator[Open]:
    engine = create_async_engine(_of("asyncpg", url), poolclass=NullPool)
    async with engine.connect() as connection:
        yield Open(connection, lambda statement: _by_its_own(connection, statement))


@asynccontextmanager
async def sqlalchemy_async_session(url: str) -> AsyncIterator[Open]:
    engine = create_async_engine(_of("asyncpg", url), poolclass=NullPool)
    async with AsyncSession(engine) as session:
        yield Open(session, lambda statement: _by_its_own(session, statement))


@asynccontextmanager
async def sqlalchemy_async_over_psycopg(url: str) -> AsyncIterator[Open]:
    engine = create_async_engine(_of("psycopg", url), poolclass=NullPool)
    async with AsyncSession(engine) as session:
        yield Open(session, lambda statement: _by_its_own(session, statement))


@asynccontextmanager
async def sqlalchemy_connection(url: str) -> AsyncIterator[Open]:
    engine = create_engine(_of("psycopg", url), poolclass=NullPool)
    with engine.connect() as connection:
        yield Open(connection, lambda statement: _by_its_own(connection, statement), synchronous=True)


@asynccontextmanager
async def sqlalchemy_session(url: str) -> AsyncIterator[Open]:
    engine = create_engine(_of("psycopg", url), poolclass=NullPool)
    with Session(engine) as session:
        yield Open(session, lambda statement: _by_its_own(session, statement), synchronous=True)


DRIVERS: list[Begin] = [
    asyncpg_connection,
    asyncpg_pool,
    psycopg_async,
    psycopg_async_with_rows_as_dicts,
    psycopg_sync,
    psycopg_sync_with_rows_as_dicts,
    sqlalchemy_async_connection,
    sqlalchemy_async_session,
    sqlalchemy_async_over_psycopg,
    sqlalchemy_connection,
    sqlalchemy_session,
]


def _of(driver: str, url: str) -> str:
    return url.replace("postgresql:", f"postgresql+{driver}:")


def _later(run: Callable[[str], Any]) -> Callable[[str], Awaitable[Any]]:
    async def ran(statement: str) -> Any:
        return run(statement)

    return ran


async def _by_its_own(tx: Any, statement: str) -> Any:
    """SQLAlchemy loses track if a transaction ends behind its back."""
    end = {"COMMIT": "commit", "ROLLBACK": "rollback"}.get(statement)
    done = getattr(tx, end)() if end else tx.execute(text(statement))
    return await done if asyncio.iscoroutine(done) or hasattr(done, "__await__") else done
