from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.families.running import Home, in_file
from tests.web.board import Board, running_board
from tests.web.site import Site, running_site

from lamplighter.demo.world import World, running_world
from lamplighter.integrations.integration import Integration


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return in_file(tmp_path)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A demo world in which tokens last and nothing goes wrong by itself."""
    async with running_world(faults=False, token_lifetime=3600) as running:
        yield running


@pytest.fixture
async def site(home: Home) -> AsyncIterator[Site]:
    async with running_site(home) as running:
        yield running


@pytest.fixture
async def connected(site: Site, world: World) -> Integration:
    """An integration of `TENANT`."""
    return await site.connect(world.url)


@pytest.fixture
async def board(sqlite: str) -> AsyncIterator[Board]:
    """A dashboard of an app without integrations."""
    async with running_board(sqlite) as running:
        yield running
