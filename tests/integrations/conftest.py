from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integrations.support import Endpoint, Home, Service, running_endpoint, service

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


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Each database that the service's tables may be in."""
    if request.param == "postgres":
        return Home(tmp_path, request.getfixturevalue("postgres_schema_url"))
    return Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")


@pytest.fixture
async def ours(home: Home) -> AsyncIterator[Service]:
    async with service(home) as opened:
        yield opened
