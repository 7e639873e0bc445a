"""The service's tables in a SQLite file: works run in a thread, and those that wait together are committed together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine, StaticPool, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from lamplighter.integrations.storage.database import Work
from lamplighter.store.sqlite.connection import explain
from lamplighter.store.sqlite.thread import SqliteThread
from lamplighter.store.sqlite.url import parse, show
from lamplighter.store.sqlite.writer import Writer, open_writer

T = TypeVar("T")


class SqliteSide:
    """One file: a thread that writes, shared with the jobs that are in it, and one that reads."""

    def __init__(self, url: str) -> None:
        self._place = parse(url)
        self.path = self._place.path

    @property
    def url(self) -> str:
        return show(self.path)

    @property
    def place(self) -> str:
        return str(self.path.absolute())

    async def open(self) -> None:
        path, synchronous, patience = self._place
        self._writer = await _open(partial(open_writer, path, synchronous=synchronous, patience=patience), _wrap)
        try:
            self._reader = await _open(partial(SqliteThread, path, access="read", patience=patience), _wrap_to_read)
        except BaseException:
            await self._writer.close()
            raise

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()

    async def write(self, work: Work[T]) -> T:
        return await self._writer.run(work)

    async def read(self, work: Work[T]) -> T:
        return await self._reader.run(work)

    async def migrate(self, work: Work[T]) -> T:
        return await self._writer.run(work)  # there is one writer, who waits for that of other processes


class _Thread:
    """A SQLAlchemy engine over the one connection of a SqliteThread, used in that thread only."""

    def __init__(self, thread: Writer | SqliteThread, engine: Engine) -> None:
        self._thread = thread
        self._engine = engine

    async def run(self, work: Work[T]) -> T:
        context = copy_context()  # or a work would not know which job it belongs to, once it is in the thread
        return await self._thread.run(lambda _raw: context.run(self._within_group, work))

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


async def _open(start: Callable[[], Writer | SqliteThread], wrap: Callable[[sqlite3.Connection], Engine]) -> _Thread:
    thread = await asyncio.to_thread(start)
    try:
        return _Thread(thread, await thread.run(wrap))
    except BaseException:
        await asyncio.to_thread(thread.close)
        raise


def _wrap(raw: sqlite3.Connection) -> Engine:
    # hide_parameters, because SQLAlchemy would write them into its errors, and those end in logs
    url = "sqlite+lamplighter://"
    return create_engine(url, creator=lambda: raw, poolclass=StaticPool, hide_parameters=True)


def _wrap_to_read(raw: sqlite3.Connection) -> Engine:
    raw.execute("PRAGMA query_only = ON")
    return _wrap(raw)
