from __future__ import annotations

from pathlib import Path

import pytest
from tests.families.running import Home, in_file

HOMES = ["one file", "one schema", "jobs in redis, tables in a file", "jobs in a file, tables in a schema"]


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Jobs and tables together, so that one transaction holds both; or apart, with an outbox in between."""
    match request.param:
        case "one file":
            return in_file(tmp_path)
        case "one schema":
            return Home(tmp_path, request.getfixturevalue("postgres_schema_url"))
        case "jobs in redis, tables in a file":
            redis = request.getfixturevalue("redis_prefix_url")
            return Home(tmp_path, redis, f"sqlite:///{tmp_path}/lamplighter.db")
        case _:
            schema = request.getfixturevalue("postgres_schema_url")
            return Home(tmp_path, f"sqlite:///{tmp_path}/jobs.db", schema)
