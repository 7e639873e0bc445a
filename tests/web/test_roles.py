"""Every route, asked by everybody who may not: generated, so that a new route is asked too."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from tests.families.running import TENANT
from tests.web.site import OTHER, Site, told

from lamplighter.integrations.integration import Integration

CALLBACK = ("get", "/oauth/callback")
PUBLIC = {CALLBACK, ("get", "/openapi.json"), ("get", "/healthz"), ("get", "/readyz")}
FOR_OPERATORS = {  # what a tenant may not do: it is about everybody's work
    "get /crons",
    "post /crons/{name}/run",
    "post /crons/{name}/pause",
    "post /crons/{name}/resume",
    "get /events",
    "get /limits",
    "post /limits/{key}/open",
    "post /limits/{key}/close",
    "post /limits/{key}/penalize",
    "get /queues/stats",
    "post /queues/{queue}/pause",
    "post /queues/{queue}/resume",
    "get /queues/{queue}/shares",
    "get /tenants",
    "post /tenants/{tenant_id}/weight",
    "get /workers",
    "post /workers/{name}/drain",
}
NAMES = {"notice_id": "n-0", "job_id": "j-0", "name": "n-0", "queue": "q-0", "key": "k:0"}


def routes(site: Site) -> Iterator[tuple[str, str]]:
    """Method and path of all that somebody has to be known for."""
    for path, methods in site.api.openapi()["paths"].items():
        for method in methods:
            route = (method, path.removeprefix("/api/v1"))
            if route not in PUBLIC:
                yield route


async def ask_all(
    site: Site, who: str | None, tenant: str, integration: str, naming: str = ""
) -> dict[str, httpx2.Response]:
    """The answers of all routes whose path has `naming`."""
    answers = {}
    for method, path in routes(site):
        if naming in path:
            filled = path.format(tenant_id=tenant, integration_id=integration, **NAMES)
            answers[f"{method} {path}"] = await site.glance(who, method, filled)
    return answers


async def test_all_routes_are_asked_here(site: Site) -> None:
    assert len(list(routes(site))) >= 30
    assert any("integration_id" in path for _, path in routes(site))


@pytest.mark.parametrize("who", [None, "somebody whom the host does not know"])
async def test_who_is_not_known_may_do_nothing(site: Site, connected: Integration, who: str | None) -> None:
    answers = await ask_all(site, who, TENANT, connected.id)
    assert {route: told(answer) for route, answer in answers.items()} == dict.fromkeys(
        answers, (401, "auth/unauthorized")
    )


@pytest.mark.parametrize("who", ["stranger", "nosy"])
async def test_another_tenants_owner_may_do_nothing(site: Site, connected: Integration, who: str) -> None:
    answers = await ask_all(site, who, TENANT, connected.id, "{tenant_id}")
    assert {route: told(answer) for route, answer in answers.items()} == dict.fromkeys(
        answers, (403, "auth/insufficient-permissions")
    )
    assert (await site.inside.see(connected)).status == "active"


@pytest.mark.parametrize("who", ["stranger", "superadmin"])
async def test_another_tenants_integration_is_as_if_it_were_not_there(
    site: Site, connected: Integration, who: str
) -> None:
    foreign = await ask_all(site, who, OTHER, connected.id, "{integration_id}")
    absent = await ask_all(site, who, OTHER, "i-0", "{integration_id}")
    assert foreign.keys() == absent.keys()
    for route, answer in foreign.items():
        assert told(answer) == (404, "cloud-integration/not-found"), route
        assert answer.content == absent[route].content, route
    assert (await site.inside.see(connected)).status == "active"


TOKENS = {"post /tenants/{tenant_id}/integrations/{integration_id}/access-token"}


@pytest.mark.parametrize(
    ("who", "refused"), [("owner", TOKENS | FOR_OPERATORS), ("superadmin", TOKENS), ("service", FOR_OPERATORS)]
)
async def test_owners_and_superadmins_may_do_all_that_is_theirs_but_read_tokens(
    site: Site, connected: Integration, who: str, refused: set[str]
) -> None:
    answers = await ask_all(site, who, TENANT, connected.id)
    assert {route for route, answer in answers.items() if answer.status_code in {401, 403}} == refused


async def test_viewers_may_only_look(site: Site, connected: Integration) -> None:
    answers = await ask_all(site, "viewer", TENANT, connected.id)
    assert {route for route, answer in answers.items() if answer.status_code == 403} == {
        route for route in answers if not route.startswith("get ")
    }


async def test_operators_connect_nothing(site: Site, connected: Integration) -> None:
    answers = await ask_all(site, "operator", TENANT, connected.id)
    assert {route for route, answer in answers.items() if answer.status_code == 403} == TOKENS | {
        "post /tenants/{tenant_id}/integrations/connect",
        "delete /tenants/{tenant_id}/integrations/{integration_id}",
        "post /tenants/{tenant_id}/notifications/{notice_id}/read",
    }


@pytest.mark.parametrize("integration", ["x" * 201, "a%00b"])
async def test_what_can_be_no_id_is_not_looked_up(site: Site, integration: str) -> None:
    answer = await site.ask("owner", "GET", f"/tenants/{TENANT}/integrations/{integration}")
    assert told(answer) == (404, "cloud-integration/not-found")


async def test_the_callback_needs_nobody_to_be_signed_in(site: Site) -> None:
    answer = await site.ask(None, *CALLBACK)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")


async def test_what_needs_nobody_to_be_signed_in_is_said_to(site: Site) -> None:
    described = site.api.openapi()["paths"]
    public = {
        (method, path.removeprefix("/api/v1"))
        for path, methods in described.items()
        for method, operation in methods.items()
        if operation.get("security") == []
    }
    assert public == PUBLIC
