"""The servers that all subjects share, and an empty place on them for each."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import asyncpg

from lamplighter.testing.servers import PostgresServer, RedisServer, private_postgres, private_redis

HERE = Path(__file__).parent
CONNECTIONS = {"max_connections": "200"}


class Stores:
    """PostgreSQL and Redis, each started when it is first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._postgres: PostgresServer | None = None
        self._redis: RedisServer | None = None
        self._names = (f"bench_{number}" for number in count(1))

    @contextmanager
    def empty(self, store: str, folder: Path) -> Iterator[str]:
        """The URL of a place on it with nothing in it, for as long as the block lasts."""
        match store:
            case "sqlite":
                yield f"sqlite:///{folder}/jobs.db?synchronous=full"
            case "postgresql":
                server = self._postgres_server()
                name = next(self._names)
                _on(server, f"CREATE DATABASE {name}")
                try:
                    yield server.url.removesuffix("/postgres") + f"/{name}"
                finally:
                    _on(server, f"DROP DATABASE {name} WITH (FORCE)")
            case "redis":
                redis = self._redis_server()
                redis.ask("FLUSHALL")
                yield redis.url
            case _:
                raise ValueError(store)

    def _postgres_server(self) -> PostgresServer:
        if self._postgres is None:
            self._postgres = self._stack.enter_context(private_postgres(settings=CONNECTIONS))
        return self._postgres

    def _redis_server(self) -> RedisServer:
        if self._redis is None:
            self._redis = self._stack.enter_context(private_redis())
        return self._redis


@contextmanager
def stores() -> Iterator[Stores]:
    """For as long as the block lasts."""
    with ExitStack() as stack:
        yield Stores(stack)


@contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on the disk of the checkout, for /tmp may be memory."""
    with tempfile.TemporaryDirectory(dir=HERE, prefix=".run-") as folder:
        yield Path(folder)


def _on(server: PostgresServer, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(server.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
