"""An open app for each test, over each store that keeps jobs in this process's reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.testing import FakeClock


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, sqlite: str) -> str:
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
