"""The servers that stores are tested on, one of each per worker of the test run, and a place of its own there per test.

`LAMPLIGHTER_TEST_POSTGRES`, `LAMPLIGHTER_TEST_REDIS` and `LAMPLIGHTER_TEST_REDIS_CLUSTER` name servers to use instead.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NoReturn, TypeVar

import psycopg
import pytest
import redis

from lamplighter.testing.servers import (
    MissingServer,
    RedisServer,
    private_pgbouncer,
    private_postgres,
    private_redis,
    private_redis_cluster,
)

# The stores there are, and the fixture with the URL of an empty one.
STORES = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgres": "postgres_schema_url",
    "redis": "redis_prefix_url",
    "redis cluster": "redis_cluster_prefix_url",
}

Started = TypeVar("Started")
StartRedis = Callable[..., RedisServer]


def start(stack: ExitStack, server: AbstractContextManager[Started]) -> Started:
    """Start it for as long as the stack lasts. Without its program the test is skipped; in CI it fails."""
    try:
        return stack.enter_context(server)
    except MissingServer as error:
        do_without(error)


def do_without(error: MissingServer) -> NoReturn:
    """Skip the test, and say so; in CI it fails."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(str(error), pytrace=False)
    pytest.skip(f"NOT TESTED ON A REAL SERVER: {error}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL database that tests share: each keeps to a schema of its own."""
    with ExitStack() as stack:
        given = os.environ.get("LAMPLIGHTER_TEST_POSTGRES")
        yield given or start(stack, private_postgres(fsync=False)).url


@pytest.fixture(scope="session")
def pgbouncer_url(postgres_url: str) -> Iterator[str]:
    """The same database behind a bouncer in transaction mode."""
    with ExitStack() as stack:
        yield start(stack, private_pgbouncer(postgres_url)).url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis server that tests share: each keeps to a prefix of its own."""
    with ExitStack() as stack:
        yield os.environ.get("LAMPLIGHTER_TEST_REDIS") or start(stack, private_redis()).url


@pytest.fixture(scope="session")
def redis_cluster_url() -> Iterator[str]:
    """A Redis Cluster, shared likewise."""
    with ExitStack() as stack:
        yield os.environ.get("LAMPLIGHTER_TEST_REDIS_CLUSTER") or start(stack, private_redis_cluster()).url


@pytest.fixture
def start_redis() -> Iterator[StartRedis]:
    """Starts Redis servers of the test's own, which it may kill, with the arguments of `private_redis`."""
    with ExitStack() as stack:
        yield lambda **arguments: start(stack, private_redis(**arguments))


@pytest.fixture
def postgres_schema_url(postgres_url: str) -> Iterator[str]:
    """`postgres_url` with a schema that nobody has used, and that is dropped afterwards."""
    with fresh_schema(postgres_url) as url:
        yield url


@pytest.fixture
def redis_prefix_url(redis_url: str) -> Iterator[str]:
    """`redis_url` with a prefix that nobody has used, and whose keys are deleted afterwards."""
    with fresh_prefix(redis_url, redis.Redis.from_url) as url:
        yield url


@pytest.fixture
def redis_cluster_prefix_url(redis_cluster_url: str) -> Iterator[str]:
    """The same in the cluster."""
    with fresh_prefix(redis_cluster_url, redis.RedisCluster.from_url) as url:
        yield url


@contextmanager
def fresh_schema(url: str) -> Iterator[str]:
    schema = _fresh()
    yield _with(url, f"schema={schema}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '20s'")  # a connection that a test left open may hold the schema
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


@contextmanager
def fresh_prefix(url: str, connect: Callable[[str], redis.Redis | redis.RedisCluster]) -> Iterator[str]:
    prefix = _fresh()
    yield _with(url, f"prefix={prefix}")
    with connect(url) as client:
        for key in client.scan_iter(match=f"*{prefix}*", count=1000):
            client.unlink(key)


def _fresh() -> str:
    return f"test_{uuid.uuid4().hex[:16]}"


def _with(url: str, parameter: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameter}"
