"""The database of the service's own tables: functions on a SQLAlchemy connection, run in a thread, committed in groups.

    async with Database("sqlite:///lamplighter.db") as database:
        count = await database.read(lambda connection: connection.scalar(select(func.count()).select_from(tenants)))

A work returns to commit and raises to roll back: it neither commits nor rolls back itself, since its neighbours are in
the same transaction. It must be safe to run again: when one of a group fails, all are rolled back and run one by one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, StaticPool, Table, create_engine
from sqlalchemy.dialects import postgresql, registry, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import redact_url
from lamplighter.store.sqlite.connection import explain
from lamplighter.store.sqlite.thread import SqliteThread
from lamplighter.store.sqlite.url import Place, parse, show

T = TypeVar("T")
Work = Callable[[Connection], T]


class Database:
    """One database, opened with `async with`.

    `sqlite:///relative.db` or `sqlite:////absolute.db`, with `?synchronous=` and `&patience=` (seconds to wait for
    another process that holds the file). Raises ConfigError for any other URL.
    """

    def __init__(self, url: str) -> None:
        self._place = _place(url)
        self.path = self._place.path
        self._opened = 0

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return show(self.path)

    async def __aenter__(self) -> Self:
        if self._opened == 0:
            self._writer = await self._open("write")
            try:
                self._reader = await self._open("read")
            except BaseException:
                await self._writer.close()
                raise
        self._opened += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._opened -= 1
        if self._opened == 0:
            await self._reader.close()
            await self._writer.close()

    async def write(self, work: Work[T]) -> T:
        """What `work(connection)` returns, once it is durable. A cancelled wait does not undo it.

        Raises:
            StoreUnavailable: the database is locked, full, read-only or failing.
            StoreDamaged: it is corrupt.
        """
        return await self._writer.run(work)

    async def read(self, work: Work[T]) -> T:
        """What `work(connection)` returns. It sees one moment of the database and can write nothing."""
        return await self._reader.run(work)

    async def _open(self, access: Literal["read", "write"]) -> _Side:
        path, synchronous, patience = self._place
        thread = await asyncio.to_thread(SqliteThread, path, access=access, synchronous=synchronous, patience=patience)
        try:
            return _Side(thread, await thread.run(_wrap_to_read if access == "read" else _wrap))
        except BaseException:
            await asyncio.to_thread(thread.close)
            raise


class _Side:
    """A SQLAlchemy engine over the one connection of a SqliteThread, used in that thread only."""

    def __init__(self, thread: SqliteThread, engine: Engine) -> None:
        self._thread = thread
        self._engine = engine

    async def run(self, work: Work[T]) -> T:
        return await self._thread.run(lambda _raw: self._within_group(work))

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.close)

    def _within_group(self, work: Work[T]) -> T:
        """Each work has a SQLAlchemy connection of its own, so that one that fails leaves its neighbours' usable."""
        dialect = self._engine.dialect
        assert isinstance(dialect, GroupedDialect)
        with self._engine.connect() as connection:
            dialect.in_work = True
            try:
                return work(connection)
            except DBAPIError as error:  # it hides SQLite's own, in which one can read what to do
                explained = explain(error.orig, self._thread.path) if isinstance(error.orig, Exception) else error
                raise (error if explained is error.orig else explained) from error.orig
            finally:
                dialect.in_work = False


class GroupedDialect(SQLiteDialect_pysqlite):
    """SQLite, except that transactions belong to the thread, which begins and ends them for a whole group."""

    supports_statement_cache = True
    in_work = False

    def do_begin(self, dbapi_connection: Any) -> None:
        """The thread did."""

    def do_commit(self, dbapi_connection: Any) -> None:  # noqa: ARG002 - SQLAlchemy's signature
        self._refuse()

    def do_rollback(self, dbapi_connection: Any) -> None:  # noqa: ARG002 - SQLAlchemy's signature
        """SQLAlchemy does so too when it opens or closes: that must not touch the transaction of the thread."""
        if self.in_work:
            self._refuse()

    def _refuse(self) -> None:
        raise InvalidRequestError("a work shares its transaction with others: return to commit, raise to roll back.")


registry.register("sqlite.lamplighter", __name__, GroupedDialect.__name__)


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens on a conflict, which SQLAlchemy has for each database apart."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _wrap(raw: sqlite3.Connection) -> Engine:
    raw.execute("COMMIT")  # foreign_keys has no effect inside a transaction
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("BEGIN")
    # hide_parameters, because SQLAlchemy would write them into its errors, and those end in logs
    url = "sqlite+lamplighter://"
    return create_engine(url, creator=lambda: raw, poolclass=StaticPool, hide_parameters=True)


def _wrap_to_read(raw: sqlite3.Connection) -> Engine:
    raw.execute("PRAGMA query_only = ON")
    return _wrap(raw)


def _place(url: str) -> Place:
    if urlsplit(url).scheme != "sqlite":
        raise ConfigError(
            f"the service's tables cannot be at {redact_url(url)}, only in SQLite so far: use sqlite:///path/to/file.db."
        )
    return parse(url)
