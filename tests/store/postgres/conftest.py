"""A store in a PostgreSQL schema of its own, and a look behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.store.postgres.behind import Behind

from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore


@pytest.fixture
async def store(postgres_schema_url: str) -> AsyncIterator[PostgresStore]:
    opened = open_store(postgres_schema_url)
    assert isinstance(opened, PostgresStore)
    async with opened:
        yield opened


@pytest.fixture
async def behind(postgres_url: str, postgres_schema_url: str) -> AsyncIterator[Behind]:
    """A superuser's connection of the test's own."""
    connection = await asyncpg.connect(postgres_url)
    yield Behind(connection, postgres_schema_url.rpartition("=")[2])
    await connection.close()
