"""The database of the service's own tables: functions on a SQLAlchemy connection, each in a transaction.

    async with Database("sqlite:///lamplighter.db") as database:
        count = await database.read(lambda connection: connection.scalar(select(func.count()).select_from(tenants)))

A work returns to commit and raises to roll back: it neither commits nor rolls back itself, since neighbours may be in
the same transaction. It must be safe to run again: when one of a group fails, or two are in each other's way, they are
rolled back and run once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import redact_url

T = TypeVar("T")
Work = Callable[[Connection], T]


class Transactions(Protocol):
    """Where works can be run; the methods are those of `Database`."""

    async def write(self, work: Work[T]) -> T: ...
    async def read(self, work: Work[T]) -> T: ...


class Side(Transactions, Protocol):
    """What is behind a URL. The methods are those of `Database`."""

    @property
    def url(self) -> str: ...
    @property
    def place(self) -> str: ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def migrate(self, work: Work[T]) -> T: ...


class Database:
    """One database, opened with `async with`. Its methods may then be called from any loop.

    `sqlite:///relative.db` or `sqlite:////absolute.db`, with `?synchronous=` and `&patience=` (seconds to wait for
    another process that holds the file). `postgresql://user:password@host:port/database`, with `?schema=`, where the
    tables are, `&patience=` (seconds to wait for an answer), `&connections=` (at most, of each loop) and
    `&pooler=transaction` behind PgBouncer. Raises ConfigError for any other URL.
    """

    def __init__(self, url: str) -> None:
        self._side = _side(url)
        self._opened = 0

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self._side.url

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return getattr(self._side, "path", None)

    @property
    def place(self) -> str:
        """What tells it apart from every other database, however its URL is written otherwise."""
        return self._side.place

    async def __aenter__(self) -> Self:
        if self._opened == 0:
            await self._side.open()
        self._opened += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._opened -= 1
        if self._opened == 0:
            await self._side.close()

    async def write(self, work: Work[T]) -> T:
        """What `work(connection)` returns, once it is durable. A cancelled wait does not undo it.

        Raises:
            StoreUnavailable: the database is locked, full, read-only, down or failing.
            StoreDamaged: it is corrupt, or has no tables of Lamplighter.
        """
        return await self._side.write(work)

    async def read(self, work: Work[T]) -> T:
        """What `work(connection)` returns. It sees one moment of the database and can write nothing."""
        return await self._side.read(work)

    async def migrate(self, work: Work[T]) -> T:
        """What `work(connection)` returns, however long it takes, while no other process does the same.

        Its connection finds the tables by their names alone, so Alembic need not know where they are.
        """
        return await self._side.migrate(work)


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can say what happens on a conflict, which SQLAlchemy has for each database apart."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Insert the rows that are not there yet; returns the keys of those that came."""
    key = next(iter(table.primary_key))  # asked for, since not every driver counts what many statements did
    statement = insert_into(connection, table).on_conflict_do_nothing().returning(key)
    return set(connection.execute(statement, rows).scalars())


def _side(url: str) -> Side:
    match urlsplit(url).scheme:
        case "sqlite":
            from lamplighter.integrations.storage.sqlite import SqliteSide  # noqa: PLC0415 - only what is used

            return SqliteSide(url)
        case "postgresql" | "postgres":
            from lamplighter.integrations.storage.postgres import PostgresSide  # noqa: PLC0415 - its driver is optional

            return PostgresSide(url)
        case _:
            raise ConfigError(
                f"the service's tables cannot be at {redact_url(url)}, only in SQLite or PostgreSQL: "
                "set `database` to sqlite:///path/to/file.db or postgresql://user@host/database."
            )
