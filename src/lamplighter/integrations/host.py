"""Transactions on the SQLAlchemy engine of a host application."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from lamplighter.core.errors import StoreUnavailable
from lamplighter.integrations.storage.database import Work

T = TypeVar("T")


class HostDatabase:
    """What a relay needs of a database, on an engine that is opened and closed by others."""

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        self._engine = engine

    async def write(self, work: Work[T]) -> T:
        """What `work(connection)` returns, once it is committed. Raises StoreUnavailable, whatever it is that fails."""
        try:
            if isinstance(self._engine, AsyncEngine):
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            return await asyncio.to_thread(_transaction, self._engine, work)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error  # without the statement and its values
            raise StoreUnavailable(
                f"the outbox cannot be read or written ({cause}): see that its database is up and has the table "
                "lamp_outbox."
            ) from error

    read = write


def _transaction(engine: Engine, work: Work[T]) -> T:
    with engine.begin() as connection:
        return work(connection)
