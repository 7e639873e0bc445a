"""Integrations, their health and the audit log over HTTP."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from tests.families.running import TENANT, Home, in_file
from tests.web.site import API, OTHER, Site, told

from lamplighter.core.model import LIVE, Where
from lamplighter.demo.client import cause
from lamplighter.demo.faults import Outage, Revocation
from lamplighter.demo.world import World
from lamplighter.integrations.integration import Integration

THEIRS = f"/tenants/{TENANT}/integrations"
SLUGS = ("lantern-drive", "harbor-files", "meadow-box")


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Each database that the tables may be in."""
    if request.param == "postgres":
        return Home(tmp_path, request.getfixturevalue("postgres_schema_url"))
    return in_file(tmp_path)


async def test_a_tenants_integrations_come_page_by_page(site: Site, world: World) -> None:
    ours = [await site.connect(world.url, slug) for slug in SLUGS]
    await site.connect(world.url, tenant=OTHER)
    first = (await site.ask("owner", "GET", f"{THEIRS}?limit=2")).json()
    second = (await site.ask("owner", "GET", f"{THEIRS}?limit=2&after={first['next']}")).json()
    assert [one["id"] for one in first["data"] + second["data"]] == [one.id for one in ours]
    assert second["next"] is None
    assert told(await site.ask("owner", "GET", f"{THEIRS}?status=revoked")) == (200, [])


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "status=lit", "after=%00", f"after={'x' * 201}"])
async def test_what_can_be_no_filter_is_refused(site: Site, query: str) -> None:
    assert told(await site.ask("owner", "GET", f"{THEIRS}?{query}")) == (400, "validation/invalid-input")


async def test_an_integration_is_shown_without_its_tokens(site: Site, connected: Integration) -> None:
    status, shown = told(await site.ask("owner", "GET", f"{THEIRS}/{connected.id}"))
    assert status == 200
    assert (shown["accessToken"], shown["refreshToken"]) == ("[REDACTED]", "[REDACTED]")
    assert (shown["tenantId"], shown["provider"], shown["status"]) == (TENANT, connected.provider_slug, "active")
    assert datetime.fromisoformat(shown["tokenExpiresAt"]) == connected.expires_at


async def test_a_manual_refresh_refreshes_though_nothing_is_due(site: Site, connected: Integration) -> None:
    before = await site.tokens(connected)
    status, shown = told(await site.ask("owner", "POST", f"/oauth{THEIRS}/{connected.id}/refresh"))
    assert (status, shown["tokenVersion"], shown["accessToken"]) == (200, 2, "[REDACTED]")
    assert await site.tokens(connected) != before
    [record] = await site.records("integration.refresh")
    assert (record.user_id, record.tenant_id, record.result) == ("auth|1", TENANT, "success")
    assert record.details["method"] == "POST"


async def test_disconnecting_deletes_the_tokens_and_can_be_done_twice(site: Site, connected: Integration) -> None:
    for _ in range(2):
        answer = await site.ask("owner", "DELETE", f"{THEIRS}/{connected.id}")
        assert (answer.status_code, answer.content) == (204, b"")
    _, shown = told(await site.ask("owner", "GET", f"{THEIRS}/{connected.id}"))
    assert (shown["status"], shown["accessToken"], shown["refreshToken"]) == ("pending", None, None)
    assert [one.result for one in await site.records("integration.disconnect")] == ["success"] * 2
    [record] = await site.records("integration.disconnected")
    assert (record.user_id, record.details["endpoint"]) == ("auth|1", f"{API}{THEIRS}/{connected.id}")
    refresh = await site.ask("owner", "POST", f"/oauth{THEIRS}/{connected.id}/refresh")
    assert told(refresh) == (409, "cloud-integration/not-connected")
    assert [one.result for one in await site.records("integration.refresh")] == ["failure"]


async def test_a_revoked_grant_is_a_conflict_that_only_the_owner_can_solve(
    site: Site, connected: Integration, world: World
) -> None:
    async with site.calling("owner") as http:
        await cause(http, world.url, Revocation(provider=connected.provider_slug, user="ada"))
        answer = await http.post(f"/oauth{THEIRS}/{connected.id}/refresh")
        assert told(answer) == (409, "cloud-integration/revoked")
        assert "connect it again" in answer.json()["error"]["message"]
        _, shown = told(await http.get(f"{THEIRS}/{connected.id}"))
    assert shown["status"] == "revoked"


async def test_an_outage_says_when_to_come_back(site: Site, connected: Integration, world: World) -> None:
    async with site.calling("owner") as http:
        await cause(http, world.url, Outage(provider=connected.provider_slug, seconds=60))
        answer = await http.post(f"/oauth{THEIRS}/{connected.id}/refresh")
    assert told(answer) == (503, "cloud-provider/unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_check_says_how_it_is_and_has_a_dead_token_refreshed(
    site: Site, connected: Integration, world: World
) -> None:
    async with site.calling("owner") as http:
        status, health = told(await http.post(f"{THEIRS}/{connected.id}/test"))
        assert (status, health["status"], health["message"]) == (200, "healthy", None)
        assert health["lastChecked"] is not None
        await cause(http, world.url, Revocation(provider=connected.provider_slug, user="ada"))
        _, health = told(await http.post(f"{THEIRS}/{connected.id}/test"))
        assert health["status"] == "unauthorized"
        assert told(await http.get(f"{THEIRS}/{connected.id}/health")) == (200, health)
        _, past = told(await http.get(f"{THEIRS}/{connected.id}/health/history?days=7"))
    assert (past["checks"], [one["status"] for one in past["incidents"]]) == (2, ["unauthorized"])
    assert 0 < past["uptime"] <= 1
    jobs = await site.inside.app.store.page(Where(names=("tokens.refresh",), states=tuple(LIVE)), limit=10)
    assert len(jobs) == 1
    assert len(await site.records("integration.check")) == 2


@pytest.mark.parametrize("days", ["0", "367", "x"])
async def test_a_history_has_bounds(site: Site, connected: Integration, days: str) -> None:
    answer = await site.ask("owner", "GET", f"{THEIRS}/{connected.id}/health/history?days={days}")
    assert told(answer) == (400, "validation/invalid-input")


async def test_each_sees_the_records_that_are_theirs(site: Site, world: World) -> None:
    for tenant in (TENANT, OTHER):
        await site.connect(world.url, tenant=tenant)
    seen = {}
    for who, query in (("owner", ""), ("stranger", ""), ("superadmin", ""), ("superadmin", OTHER)):
        status, records = told(await site.ask(who, "GET", "/audit" + (f"?tenant={query}" if query else "")))
        assert status == 200
        seen[who, query] = {one["tenantId"] for one in records}
    assert seen == {
        ("owner", ""): {TENANT},
        ("stranger", ""): {OTHER},
        ("superadmin", ""): {TENANT, OTHER, None},  # the last is of what concerns all tenants
        ("superadmin", OTHER): {OTHER},
    }
    for who, query in (("owner", f"?tenant={OTHER}"), ("nosy", "")):  # and of no tenant's at all
        refused = await site.ask(who, "GET", f"/audit{query}")
        assert told(refused) == (403, "auth/insufficient-permissions")


async def test_the_audit_log_comes_page_by_page_the_latest_first(site: Site, connected: Integration) -> None:
    await site.ask("owner", "POST", f"{THEIRS}/{connected.id}/test")
    first = (await site.ask("owner", "GET", "/audit?limit=1")).json()
    second = (await site.ask("owner", "GET", f"/audit?limit=1&before={first['next']}")).json()
    [check], [connect] = first["data"], second["data"]
    assert [check["action"], connect["action"]] == ["integration.check", "integration.connected"]
    assert check["resource"] == {"type": "integration", "id": connected.id}
    assert check["details"]["ipAddress"] == "127.0.0.1"
    assert (check["result"], check["errorMessage"]) == ("success", None)
