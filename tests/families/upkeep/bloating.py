"""A PostgreSQL table that takes three times the room that it needs, and upkeep over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from lamplighter.core.config import Settings
from lamplighter.families.upkeep.ledger import Run
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.upkeep import Upkeep, Which
from lamplighter.integrations.storage import migrate
from lamplighter.integrations.storage.database import Database

ROWS = 12_000
TIMES = 3
PATIENCE = timedelta(seconds=0.5)


class Bloated:
    """The table `account` in the schema of a store's URL, in which every third row is left."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url = url
        self.server = url.partition("?")[0]
        self.schema = parts.query.partition("schema=")[2]
        self.table = f"{self.schema}.account"

    def connect(self) -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(self.server, autocommit=True, row_factory=dict_row)

    def make(self, *, rows: int = ROWS) -> None:
        table, numbers = self.table, f"generate_series(1, {TIMES * rows})"
        with self.connect() as connection:
            for statement in (
                f"CREATE SCHEMA IF NOT EXISTS {self.schema}",
                f"CREATE TABLE {table} (id bigint PRIMARY KEY, branch integer, note text, filler text NOT NULL)",
                f"ALTER TABLE {table} SET (autovacuum_enabled = off)",
                f"CREATE INDEX account_of_branch ON {table} (branch, id)",
                f"INSERT INTO {table} SELECT n, n % 100, nullif(n % 2, 0)::text, repeat('x', 90) FROM {numbers} AS n",
                f"DELETE FROM {table} WHERE id % {TIMES} <> 0",
            ):
                connection.execute(statement.encode())
        with self.connect() as connection:  # what the one before counted is told to all as it ends
            connection.execute(f"VACUUM ANALYZE {table}".encode())

    def sizes(self, table: str | None = None) -> tuple[int, int]:
        """Of the table, and of its indexes."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT pg_relation_size(%s::regclass) AS own, pg_indexes_size(%s::regclass) AS indexes",
                (table or self.table, table or self.table),
            ).fetchone()
        assert row is not None
        return row["own"], row["indexes"]

    def fresh(self) -> tuple[int, int]:
        """What a copy of it takes that is made now."""
        copy = f"{self.schema}.copy"
        with self.connect() as connection:
            connection.execute(f"CREATE TABLE {copy} (LIKE {self.table} INCLUDING ALL)".encode())
            connection.execute(f"INSERT INTO {copy} SELECT * FROM {self.table} ORDER BY id".encode())
            connection.execute(f"REINDEX TABLE {copy}".encode())
            sizes = self.sizes(copy)
            connection.execute(f"DROP TABLE {copy}".encode())
        return sizes

    def settings(self, **more: Any) -> Settings:
        return Settings(**{"store": self.url, "upkeep_lock_timeout": PATIENCE, "upkeep_least_mb": 0, **more})

    @asynccontextmanager
    async def kept(self, **settings: Any) -> AsyncIterator[Upkeep]:
        """Upkeep over the database, with the tables that it writes to."""
        async with Database(self.url) as database:
            await migrate.upgrade(database)
            yield Upkeep(self.settings(**settings), database)


async def keep(upkeep: Upkeep, *tasks: str) -> list[Run]:
    """What is done of these tasks."""
    return await upkeep.run(Turn(60), asked_by="auth|5", which=Which(tasks))
