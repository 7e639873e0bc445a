from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integrations.support import Endpoint, Service, running_endpoint, service

from lamplighter.demo.world import World, running_world


@pytest.fixture
async def demo() -> AsyncIterator[World]:
    """A demo world in which nothing goes wrong by itself."""
    async with running_world(faults=False, token_lifetime=3600) as running:
        yield running


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with running_endpoint() as running:
        yield running


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[Service]:
    async with service(tmp_path) as opened:
        yield opened
