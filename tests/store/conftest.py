"""A SQLite file, a store on it, and other processes that use it; and Redis servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests import services

from lamplighter.store.sqlite import SqliteStore
from lamplighter.testing.servers import RedisServer, private_redis

Child = subprocess.Popen[str]
StartChild = Callable[..., Child]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(path, patience=0.05) as opened:
        yield opened


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server that tests share, each under a prefix of its own; unlike `redis_url` it may have further users."""
    with ExitStack() as stack:
        yield services.start(stack, private_redis())


@pytest.fixture
def start() -> Iterator[StartChild]:
    """Starts a Python script with arguments; whatever still runs when the test is over is killed."""
    with ExitStack() as children:

        def start_child(script: str, *arguments: object) -> Child:
            child = subprocess.Popen(
                [sys.executable, "-c", script, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
            children.enter_context(child)
            children.callback(child.kill)
            return child

        yield start_child
