"""Transactions of an application's own, on the same database as its jobs."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from lamplighter.store.sqlite import connect
from lamplighter.store.sqlite.connection import when_free
from lamplighter.store.sqlite.url import parse
from lamplighter.testing.verify.orders import Orders


class Transactions(Protocol):
    """What begins transactions. `errors` are the driver's own: after one of them nothing is known."""

    @property
    def errors(self) -> tuple[type[Exception], ...]: ...

    def begin(self, *, commit: bool) -> AbstractAsyncContextManager[Any]: ...


@asynccontextmanager
async def transactions_of(orders: Orders) -> AsyncIterator[Transactions | None]:
    """Those of the store that the orders name; None where jobs can join none."""
    if not orders.transactions:
        yield None
    elif orders.url.startswith("sqlite"):
        yield SqliteTransactions(parse(orders.url).path)
    else:
        from lamplighter.testing.verify.places.postgres import PostgresTransactions  # noqa: PLC0415 - optional

        async with PostgresTransactions(orders.url) as transactions:
            yield transactions


class SqliteTransactions:
    """Each on a connection of its own, as the requests of a web application would be."""

    errors = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def begin(self, *, commit: bool) -> AsyncIterator[sqlite3.Connection]:
        """A transaction for as long as the block lasts."""
        connection = connect(self._path)
        try:
            when_free(lambda: connection.execute("BEGIN IMMEDIATE"), 10)
            yield connection
            connection.execute("COMMIT" if commit else "ROLLBACK")
        finally:
            connection.close()  # which rolls back what is still open
