"""Every store passes the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from tests.redis_server import RedisServer

from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.open import open_store
from lamplighter.testing.conformance import *  # noqa: F403
from lamplighter.testing.conformance._make import OpenAgain


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(url_of(request, tmp_path)) as opened:
        yield opened


def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{tmp_path}/jobs.db"
        case _:
            server: RedisServer = request.getfixturevalue("redis_server")
            return f"{server.url}?prefix={uuid4()}"


@pytest.fixture
def open_again(store: Store) -> OpenAgain:
    return (lambda: store) if isinstance(store, MemoryStore) else partial(open_store, store.url)
