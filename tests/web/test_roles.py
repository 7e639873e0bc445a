"""Every route, asked by everybody: generated, so that a new route is asked too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import httpx2
import pytest
from fastapi.routing import APIRoute
from tests.families.running import TENANT
from tests.web.site import CALLERS, OTHER, Site, told

from lamplighter.core.clock import to_us
from lamplighter.core.ids import new_id
from lamplighter.core.model import NewJob
from lamplighter.integrations.integration import Integration
from lamplighter.web.app import NOUNS, WITH_INTEGRATIONS
from lamplighter.web.roles import Needs, Role, needs_of

PUBLIC = {("GET", path) for path in ("/oauth/callback", "/openapi.json", "/healthz", "/readyz")}
ELSEWHERE = {("GET", "/metrics")}  # it is beside the probes, and asked by everybody in `test_metrics_api`
ACCESS_TOKEN = "/tenants/{tenant_id}/integrations/{integration_id}/access-token"


OF_NOBODY = {"/analytics", "/providers"}  # what is no tenant's, and shown to all


class Route(NamedTuple):
    """What is asked, and what it says of who may."""

    method: str
    path: str
    needs: Needs


def routes() -> Iterator[Route]:
    """All that somebody has to be known for."""
    for noun in (*NOUNS, *WITH_INTEGRATIONS):
        for route in noun.router.routes:
            assert isinstance(route, APIRoute)
            needs = needs_of(route.endpoint)
            assert needs is not None, f"{route.path} says nothing of who may ask it"
            for method in route.methods or ():
                yield Route(method, route.path_format, needs)


def refusal(route: Route, who: str | None) -> int | None:
    """With which status `roles` has it refused to that caller; None: it is not."""
    caller = CALLERS.get(who or "")
    if caller is None:
        return 401
    if not caller.has(route.needs.right):
        return 403
    if "{tenant_id}" in route.path:
        return None if caller.sees(TENANT) else 403
    if "{job_id}" in route.path:
        return None if caller.sees(TENANT) else 404
    return 403 if caller.role is Role.TENANT and not route.needs.sorts else None


async def a_job(site: Site) -> str:
    """The id of a new one of `TENANT`: what is asked may take it away."""
    store, now = site.inside.app.store, site.inside.app.clock()
    job = NewJob(id=new_id(to_us(now)), name="dust", queue="dust", run_at=now, tenant=TENANT)
    await store.add([job], now=now)
    return job.id


async def ask(site: Site, who: str | None, route: Route, tenant: str, integration: str) -> httpx2.Response:
    """Without a body. Of an answer that goes on for ever, only its beginning."""
    named = {"tenant_id": tenant, "integration_id": integration, "job_id": await a_job(site), "queue": "dust"}
    path = route.path.format_map(defaultdict(lambda: "x-0", named))
    async with site.calling(who) as http, http.stream(route.method, path) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            await answer.aread()
        return answer


async def ask_all(site: Site, who: str, tenant: str, integration: str, naming: str) -> dict[str, httpx2.Response]:
    """The answers of all routes whose path has `naming`."""
    return {
        f"{route.method} {route.path}": await ask(site, who, route, tenant, integration)
        for route in routes()
        if naming in route.path
    }


async def test_all_routes_are_asked_here(site: Site) -> None:
    served = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in site.api.openapi()["paths"].items()
        for method in methods
    }
    assert {(route.method, route.path) for route in routes()} == served - PUBLIC - ELSEWHERE


@pytest.mark.parametrize("who", [None, "somebody whom the host does not know", *CALLERS])
async def test_everybody_may_do_what_the_roles_say(site: Site, connected: Integration, who: str | None) -> None:
    for route in routes():
        answer, expected = await ask(site, who, route, TENANT, connected.id), refusal(route, who)
        about = f"{route.method} {route.path}: {answer.status_code}"
        if expected is not None:
            assert answer.status_code == expected, about
        elif route.path == ACCESS_TOKEN:
            assert answer.status_code == (200 if who == "service" else 403), about
        elif who == "nosy" and route.path not in OF_NOBODY:
            assert answer.status_code in {400, 403}, f"who acts for no tenant sees nothing; {about}"
        else:
            assert answer.status_code < 500, about
            assert answer.status_code not in {401, 403}, about
            assert answer.status_code != 404 or "/not-found" in answer.text, about


@pytest.mark.parametrize("who", ["stranger", "nosy"])
async def test_who_is_refused_has_changed_nothing(site: Site, connected: Integration, who: str) -> None:
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


async def test_another_tenants_job_is_as_if_it_were_not_there(site: Site) -> None:
    for route in routes():
        if "{job_id}" in route.path:
            absent = await site.ask("stranger", route.method, route.path.format(job_id="j-0"))
            foreign = await ask(site, "stranger", route, TENANT, "i-0")
            assert told(foreign) == (404, "job/not-found"), route
            assert foreign.content == absent.content, route
    jobs = told(await site.ask("operator", "GET", "/jobs?name=dust"))[1]
    assert {job["state"] for job in jobs} == {"queued"}


@pytest.mark.parametrize("integration", ["x" * 201, "a%00b"])
async def test_what_can_be_no_id_is_not_looked_up(site: Site, integration: str) -> None:
    answer = await site.ask("owner", "GET", f"/tenants/{TENANT}/integrations/{integration}")
    assert told(answer) == (404, "cloud-integration/not-found")
    assert told(await site.ask("owner", "GET", f"/jobs/{integration}")) == (404, "job/not-found")


async def test_the_callback_alone_needs_nobody_to_be_signed_in(site: Site) -> None:
    answer = await site.ask(None, "GET", "/oauth/callback")
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")


async def test_what_needs_nobody_to_be_signed_in_is_said_to(site: Site) -> None:
    described = site.api.openapi()["paths"]
    public = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in described.items()
        for method, operation in methods.items()
        if operation.get("security") == []
    }
    assert public == PUBLIC
