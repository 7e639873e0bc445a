"""What tests of more than one folder ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.demo.world import World, running_world
from lamplighter.testing import FakeClock


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, sqlite: str) -> str:
    """Each store that keeps jobs in this process's reach."""
    return "memory://" if request.param == "memory" else sqlite


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
