"""A schema of its own for each test on a PostgreSQL server of this test run, a store in it, and a look behind it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import psycopg
import pytest
from tests.store.postgres.behind import Behind

from lamplighter.store.open import open_store
from lamplighter.store.postgres import PostgresStore
from lamplighter.testing.servers import private_postgres


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with private_postgres(fsync=False) as server:
        yield server.url


@pytest.fixture
def postgres_schema_url(postgres_url: str) -> Iterator[str]:
    schema = f"test_{uuid.uuid4().hex[:16]}"
    yield f"{postgres_url}?schema={schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '20s'")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


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
