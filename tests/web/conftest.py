from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.families.running import Home, in_file
from tests.services import STORES
from tests.web.board import Board, running_board
from tests.web.browser import running_browser
from tests.web.errands import Errands, errands_at
from tests.web.own_site import OwnSite, running_own_site
from tests.web.site import Site, running_site

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.demo.world import World, running_world
from lamplighter.integrations.integration import Integration
from lamplighter.testing import FakeClock


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return in_file(tmp_path)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A demo world in which tokens last and nothing goes wrong by itself."""
    async with running_world(faults=False, token_lifetime=3600) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A real one."""
    async with running_browser() as running:
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
async def errands(sqlite: str) -> AsyncIterator[Errands]:
    """An app without integrations."""
    async with errands_at(sqlite) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres", "redis"])
async def errands_anywhere(request: pytest.FixtureRequest) -> AsyncIterator[Errands]:
    """The same on a store of each of these kinds."""
    async with errands_at(request.getfixturevalue(STORES[request.param])) as running:
        yield running


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    return Settings(store=f"sqlite:///{tmp_path}/jobs.db")


@pytest.fixture
async def own(own_settings: Settings, clock: FakeClock) -> AsyncIterator[OwnSite]:
    """What `lamplighter web` serves."""
    async with running_own_site(App(settings=own_settings, clock=clock)) as running:
        yield running


@pytest.fixture
async def board(sqlite: str) -> AsyncIterator[Board]:
    """A dashboard of an app without integrations."""
    async with running_board(sqlite) as running:
        yield running
