"""Every store passes the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.open import open_store
from lamplighter.testing.conformance import *  # noqa: F403
from lamplighter.testing.conformance._make import OpenAgain


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"
    async with open_store(url) as opened:
        yield opened


@pytest.fixture
def open_again(store: Store) -> OpenAgain:
    return (lambda: store) if isinstance(store, MemoryStore) else partial(open_store, store.url)
