"""Requests that nobody thought of, to every route as everybody: no answer is a fault of ours, or was not described.

They are made of the API's description, by Schemathesis, and sent to the real server.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok
from tests.families.running import Home, in_file
from tests.services import STORES
from tests.web.site import AT, Site

from lamplighter.integrations.integration import Integration

EXAMPLES = {"sqlite": 5, "postgresql": 3}  # of requests to each route, as each caller: fewer where they take longer
ENDLESS = {"events.follow_queues", "events.follow_job"}
OUTSIDE = {"connections.connect"}  # 503 and 502 are the provider's faults
WANTED = ("not_a_server_error", "response_schema_conformance", "content_type_conformance", "status_code_conformance")

load_all_checks()
checks = [CHECKS.get_one(name) for name in WANTED]


def routes(site: Site) -> list[Any]:
    schema = schemathesis.openapi.from_dict(site.api.openapi())
    found = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    return [one for one in found if one.definition.raw["operationId"] not in ENDLESS]


@pytest.fixture(params=EXAMPLES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Jobs and integrations in one database of each kind."""
    return (
        in_file(tmp_path) if request.param == "sqlite" else Home(tmp_path, request.getfixturevalue(STORES["postgres"]))
    )


def bombard(site: Site, who: str | None, route: Any, examples: int) -> None:
    headers = {} if who is None else {"Caller": who}

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=route.as_strategy())
    def send(case: Any) -> None:
        case.call_and_validate(base_url=site.url + AT, headers=headers, checks=checks, timeout=30)

    send()


@pytest.mark.parametrize("who", ["superadmin", "operator", "viewer", "owner", None])
async def test_no_request_finds_a_fault_or_what_is_not_described(
    home: Home, site: Site, connected: Integration, who: str | None
) -> None:
    examples = EXAMPLES[urlsplit(home.store).scheme]
    for route in routes(site):
        await asyncio.to_thread(bombard, site, who, route, examples)
