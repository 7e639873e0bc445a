"""Statements in a caller's transaction, whatever driver it is of: asyncpg, psycopg, or SQLAlchemy over any.

psycopg and SQLAlchemy are not imported here: whoever gives us one of theirs has them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from lamplighter.core.errors import TransactionUnsupported
from lamplighter.store.postgres.errors import explained_in_transaction

Rows = list[tuple[Any, ...]]
_PLACE = re.compile(r"\$(\d+)")


async def fetch_in(tx: Any, statement: str, args: tuple[Any, ...], shown: str) -> Rows:
    """The rows of a statement in an asynchronous or synchronous transaction.

    Raises:
        TransactionUnsupported: it is none that can be joined, or has not begun.
        StoreUnavailable: the server refuses; the transaction has failed then.
    """
    with explained_in_transaction(shown):
        if _is_asyncpg(tx):
            return await _in_asyncpg(tx, statement, args)
        if _is(tx, "psycopg", "AsyncConnection"):
            return await _in_psycopg_async(tx, statement, args)
        if _is_sqlalchemy_async(tx):
            return await _in_sqlalchemy_async(tx, statement, args, shown)
        return _within(tx, statement, args, shown)


def fetch_within(tx: Any, statement: str, args: tuple[Any, ...], shown: str) -> Rows:
    """The rows of a statement in a synchronous transaction, without awaiting. Raises what `fetch_in` raises."""
    if _is_asyncpg(tx) or _is(tx, "psycopg", "AsyncConnection") or _is_sqlalchemy_async(tx):
        raise TransactionUnsupported(
            f"tx={type(tx).__name__} is asynchronous: await `add` or `enqueue` with tx=... instead."
        )
    with explained_in_transaction(shown):
        return _within(tx, statement, args, shown)


def _within(tx: Any, statement: str, args: tuple[Any, ...], shown: str) -> Rows:
    if _is(tx, "psycopg", "Connection") or _is(tx, "psycopg2.extensions", "connection"):
        return _in_dbapi(tx, statement, args)
    if hasattr(tx, "get_bind") and callable(getattr(tx, "connection", None)):
        tx = tx.connection()  # a SQLAlchemy session begins with this
    if hasattr(tx, "dialect") and hasattr(tx, "exec_driver_sql"):
        return _in_sqlalchemy(tx, statement, args, shown)
    raise _refused(tx, shown)


async def _in_asyncpg(tx: Any, statement: str, args: tuple[Any, ...]) -> Rows:
    if not tx.is_in_transaction():
        raise _not_begun()
    return [tuple(row) for row in await tx.fetch(statement, *args)]


async def _in_psycopg_async(tx: Any, statement: str, args: tuple[Any, ...]) -> Rows:
    _refuse_autocommit(tx)
    async with _psycopg().AsyncCursor(tx, row_factory=_tuples()) as cursor:
        await cursor.execute(*_with_percents(statement, args))
        rows: Rows = await cursor.fetchall()
        return rows


def _in_dbapi(tx: Any, statement: str, args: tuple[Any, ...]) -> Rows:
    _refuse_autocommit(tx)
    with _psycopg().Cursor(tx, row_factory=_tuples()) if _is(tx, "psycopg", "Connection") else tx.cursor() as cursor:
        cursor.execute(*_with_percents(statement, args))
        return [tuple(row) for row in cursor.fetchall()]


async def _in_sqlalchemy_async(tx: Any, statement: str, args: tuple[Any, ...], shown: str) -> Rows:
    """Both a session and a connection of SQLAlchemy's run a function with their synchronous twin."""

    def within(twin: Any) -> Rows:
        return _within(twin, statement, args, shown)

    run: Callable[[Callable[[Any], Rows]], Awaitable[Rows]] = tx.run_sync
    return await run(within)


def _in_sqlalchemy(connection: Any, statement: str, args: tuple[Any, ...], shown: str) -> Rows:
    if connection.dialect.name != "postgresql":
        raise _refused(connection.dialect.name, shown)
    if connection.connection.dbapi_connection.autocommit:  # wherever that was set: engine, options, or here
        raise _not_begun()
    from sqlalchemy import text  # noqa: PLC0415 - whoever gives us a connection of SQLAlchemy's has it

    # SQLAlchemy would take a cast for the name of a value, and knows the marks of whichever driver is underneath
    named = _PLACE.sub(r":p\1", re.sub(r"\$(\d+)::([a-z]+(?:\[\])?)", r"CAST($\1 AS \2)", statement))
    values = {f"p{place}": value for place, value in enumerate(args, start=1)}
    return [tuple(row) for row in connection.execute(text(named), values)]


def _with_percents(statement: str, args: tuple[Any, ...]) -> tuple[str, list[Any]]:
    order = [int(place) for place in _PLACE.findall(statement)]
    return _PLACE.sub("%s", statement), [args[place - 1] for place in order]


def _refuse_autocommit(tx: Any) -> None:
    if tx.autocommit and tx.info.transaction_status == 0:
        raise _not_begun()


def _not_begun() -> TransactionUnsupported:
    return TransactionUnsupported("tx has not begun, so nothing could be rolled back: begin a transaction first.")


def _refused(tx: Any, shown: str) -> TransactionUnsupported:
    kind = tx if isinstance(tx, str) else type(tx).__name__
    return TransactionUnsupported(
        f"tx={kind} is no transaction on {shown}: give a connection of asyncpg, psycopg or SQLAlchemy, or a session, "
        "that is open on the same database."
    )


def _is(tx: Any, module: str, name: str) -> bool:
    """Whether it is of that class or one made from it, without importing the library."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(tx, kind)


def _is_asyncpg(tx: Any) -> bool:
    return isinstance(tx, asyncpg.Connection) or _is(tx, "asyncpg.pool", "PoolConnectionProxy")


def _is_sqlalchemy_async(tx: Any) -> bool:
    return hasattr(tx, "sync_session") or hasattr(tx, "sync_connection")


def _psycopg() -> Any:
    """For cursors of its usual kind: the caller's connection may make others, which want other marks for values."""
    return sys.modules["psycopg"]


def _tuples() -> Any:
    """Rows as the tuples we expect: the caller's connection may make something else of them."""
    return sys.modules["psycopg.rows"].tuple_row
