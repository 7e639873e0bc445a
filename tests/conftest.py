"""What tests of more than one folder ask for."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import httpcore2
import httpx2
import pytest

# `python -m pytest` finds `tests.` in the directory it runs in; plain `pytest` does not look there.
sys.path.append(str(Path(__file__).parents[1]))

from tests.counterparts.fixtures import *  # noqa: F403
from tests.services import *  # noqa: F403
from tests.services import STORES
from tests.tables import *  # noqa: F403

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.demo.world import World, running_world
from lamplighter.testing import FakeClock


@pytest.fixture(autouse=True, scope="session")
def trust_is_read_once() -> Iterator[None]:
    """Most tests make HTTP clients, and each of these would read all certificate authorities of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpcore2, "default_ssl_context", cache(httpcore2.default_ssl_context))
        yield


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def memory() -> str:
    return "memory://"


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty store of each of these kinds."""
    return str(request.getfixturevalue(STORES[request.param]))


@pytest.fixture
async def app(url: str) -> AsyncIterator[App[None]]:
    async with App(url, settings=Settings()) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def timed(url: str, clock: FakeClock) -> AsyncIterator[App[None]]:
    """An app that goes by `clock`."""
    async with App(url, settings=Settings(), clock=clock) as opened:
        yield opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A demo world of this test's own, in which nothing goes wrong by itself."""
    async with running_world(faults=False) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client
