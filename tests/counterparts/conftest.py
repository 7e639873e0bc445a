from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from lamplighter.integrations.oauth import TokenClient


@pytest.fixture
async def client() -> AsyncIterator[TokenClient]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield TokenClient(http, timeout=30)
