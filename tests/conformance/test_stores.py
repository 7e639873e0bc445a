"""Every store passes the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
from tests.services import STORES

from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.open import open_store
from lamplighter.testing.conformance import *  # noqa: F403
from lamplighter.testing.conformance._make import OpenAgain


@pytest.fixture(params=list(STORES))
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(STORES[request.param]))


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as opened:
        yield opened


@pytest.fixture
def open_again(store: Store) -> OpenAgain:
    return (lambda: store) if isinstance(store, MemoryStore) else partial(open_store, store.url)
