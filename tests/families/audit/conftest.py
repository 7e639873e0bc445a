from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.families.audit.logs import Log, open_log


@pytest.fixture(params=["sqlite", "postgres"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    """In each database that the tables may be in."""
    sqlite = f"sqlite:///{tmp_path}/lamplighter.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_schema_url")
    async with open_log(url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def in_file(tmp_path: Path) -> AsyncIterator[Log]:
    """In a file, where the database does not matter."""
    async with open_log(f"sqlite:///{tmp_path}/lamplighter.db", tmp_path) as opened:
        yield opened
