"""A world of its own for each test that asks for one: it starts in a fifth of a second."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from lamplighter.demo.world import World, running_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world in which nothing goes wrong by itself."""
    async with running_world(faults=False) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient() as client:
        yield client
