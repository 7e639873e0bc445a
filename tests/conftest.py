"""What tests of more than one folder ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.demo.world import World, running_world
from lamplighter.testing import FakeClock
from lamplighter.testing.servers import PostgresServer, RedisServer, private_postgres, private_redis


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A cluster that the tests of one process share."""
    with private_postgres(fsync=False) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> str:
    """A schema that nobody has used yet."""
    return f"{postgres_server.url}?schema=test_{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that the tests of one process share."""
    with private_redis() as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> str:
    """A prefix that nobody has used yet."""
    return f"{redis_server.url}?prefix=test_{uuid4().hex[:12]}"


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, sqlite: str) -> str:
    """Each store that keeps jobs in this process's reach."""
    return "memory://" if request.param == "memory" else sqlite


@pytest.fixture
async def app(url: str) -> AsyncIterator[App[None]]:
    async with App(url, settings=Settings()) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def timed(url: str, clock: FakeClock) -> AsyncIterator[App[None]]:
    """An app that goes by `clock`."""
    async with App(url, settings=Settings(), clock=clock) as opened:
        yield opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A demo world of this test's own, in which nothing goes wrong by itself."""
    async with running_world(faults=False) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client
