"""Connecting and disconnecting, with consents of the demo world."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec
import pytest
from sqlalchemy import Connection, func, select
from tests.integrations.support import Endpoint, Home, Plans, Timer

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import CALLBACK, find_provider
from lamplighter.demo.client import cause
from lamplighter.demo.faults import Outage
from lamplighter.demo.settle import registered
from lamplighter.demo.world import World
from lamplighter.integrations.audit import Actor, acting
from lamplighter.integrations.connecting.authorizations import LIFETIME
from lamplighter.integrations.connecting.connections import Begun
from lamplighter.integrations.connecting.errors import ConnectDenied, ConnectFailed, ConnectRefused
from lamplighter.integrations.refreshing import row
from lamplighter.integrations.refreshing.outcome import Gone
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.storage.tables import authorizations
from lamplighter.integrations.tenants import Tenant

TENANT, USER, LANTERN = "copper-bakery", "auth|1", "lantern-drive"


class Desk:
    """An open service, and a person with a browser before it."""

    def __init__(self, service: Service, plans: Plans, world: World, http: httpx2.AsyncClient) -> None:
        self.service = service
        self.plans = plans
        self.world = world
        self.http = http

    async def begin(self, slug: str = LANTERN, *, account: str | None = "ada", return_to: str = "/settings") -> Begun:
        return await self.service.connections.begin(
            TENANT, slug, redirect_uri=CALLBACK, user_id=USER, return_to=return_to, login_hint=account
        )

    async def consent(self, begun: Begun) -> dict[str, str]:
        """What the provider sends back by way of the browser."""
        answer = await self.http.get(begun.url.reveal(), follow_redirects=False)
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    async def connect(self, slug: str = LANTERN) -> str:
        begun = await self.begin(slug)
        connected = await self.service.connections.finish(await self.consent(begun), browser=begun.browser)
        return connected.integration.id

    async def is_honoured(self, token: Secret, slug: str = LANTERN) -> bool:
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        return (await self.http.get(f"{self.world.url}/{slug}/drive/about", headers=headers)).status_code == 200

    async def actions(self) -> list[tuple[str, str]]:
        """The audit log, the oldest first."""
        return [(one.user_id, one.action) for one in reversed(await self.service.audit.page(tenant_ids=[TENANT]))]

    async def under_way(self) -> int:
        statement = select(func.count()).select_from(authorizations)
        return await self.service.database.read(lambda connection: connection.execute(statement).scalar_one())


@asynccontextmanager
async def open_desk(home: Home, world: World, clock: Clock = utcnow) -> AsyncIterator[Desk]:
    settings, plans = Settings(store=home.url, folder=home.folder), Plans()
    async with open_service(settings, plans, clock=clock) as service, httpx2.AsyncClient() as http:
        for slug in (LANTERN, "harbor-files"):
            await service.registrations.register(registered(find_provider(slug), world.url))
        await service.tenants.add([Tenant(id=TENANT, name="Copper Bakery", owner_id=USER)])
        yield Desk(service, plans, world, http)


@pytest.fixture
async def desk(home: Home, world: World) -> AsyncIterator[Desk]:
    async with open_desk(home, world) as opened:
        yield opened


async def test_a_consent_becomes_an_integration_whose_first_refresh_is_planned_with_it(desk: Desk) -> None:
    begun = await desk.begin(return_to="/settings?tab=drives")
    connected = await desk.service.connections.finish(await desk.consent(begun), browser=begun.browser)
    integration = connected.integration
    assert connected.return_to == "/settings?tab=drives"
    assert (integration.tenant_id, integration.provider_slug, integration.status) == (TENANT, LANTERN, "active")
    assert desk.plans.inside == [(integration.id, integration.refresh_at)]
    access = await desk.service.access.get(integration.id)
    assert await desk.is_honoured(access.access_token)
    assert await desk.actions() == [(USER, "integration.connected")]
    assert await desk.under_way() == 0


async def test_the_authorize_url_asks_with_pkce_and_a_state_that_is_not_stored(desk: Desk) -> None:
    begun = await desk.begin()
    query = dict(parse_qsl(urlsplit(begun.url.reveal()).query))
    assert query["response_type"] == "code"
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == CALLBACK
    assert len(query["state"]) >= 43
    row = await desk.service.database.read(lambda connection: connection.execute(select(authorizations)).one())
    stored = json.dumps([str(value) for value in row])
    assert not any(secret in stored for secret in (query["state"], begun.browser.reveal(), query["code_challenge"]))
    assert query["state"] not in repr(begun)


async def test_a_state_works_once(desk: Desk) -> None:
    begun = await desk.begin()
    answer = await desk.consent(begun)
    await desk.service.connections.finish(answer, browser=begun.browser)
    with pytest.raises(ConnectRefused, match="begin to connect again"):
        await desk.service.connections.finish(answer, browser=begun.browser)


async def test_of_two_answers_at_once_one_connects(desk: Desk) -> None:
    begun = await desk.begin()
    answer = await desk.consent(begun)
    finish = desk.service.connections.finish
    results = await asyncio.gather(*(finish(answer, browser=begun.browser) for _ in range(2)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ConnectRefused", "Connected"]


async def test_another_browser_cannot_finish_what_this_one_began(desk: Desk) -> None:
    """Or a stranger could have a victim's browser connect the stranger's account."""
    begun, other = await desk.begin(), await desk.begin()
    with pytest.raises(ConnectRefused):
        await desk.service.connections.finish(await desk.consent(begun), browser=other.browser)
    assert await desk.service.integrations.page() == []


async def test_a_state_is_forgotten_after_ten_minutes(home: Home, world: World) -> None:
    timer = Timer()
    async with open_desk(home, world, timer) as desk:
        begun = await desk.begin()
        answer = await desk.consent(begun)
        timer.passes(LIFETIME.total_seconds())
        await desk.begin()
        assert await desk.under_way() == 1, "the old one is gone"
        with pytest.raises(ConnectRefused):
            await desk.service.connections.finish(answer, browser=begun.browser)


@pytest.mark.parametrize("answer", [{}, {"state": ""}, {"state": "unknown", "code": "c"}, {"state": "x" * 5000}])
async def test_an_answer_that_nobody_waits_for_is_refused(desk: Desk, answer: dict[str, str]) -> None:
    with pytest.raises(ConnectRefused):
        await desk.service.connections.finish(answer, browser=Secret("b"))


async def test_a_person_who_says_no_is_told_so_and_nothing_changes(desk: Desk) -> None:
    connected = await desk.connect()
    begun = await desk.begin(account=None)
    with pytest.raises(ConnectDenied, match="was not allowed") as caught:
        await desk.service.connections.finish(await desk.consent(begun), browser=begun.browser)
    assert caught.value.return_to == "/settings"
    found = await desk.service.integrations.get(connected)
    assert found is not None
    assert (found.status, found.token_version) == ("active", 1)


async def test_a_code_that_the_provider_does_not_know_connects_nothing(desk: Desk) -> None:
    begun = await desk.begin()
    answer = await desk.consent(begun) | {"code": "made-up"}
    with pytest.raises(ConnectFailed, match="Lantern Drive does not know its own code"):
        await desk.service.connections.finish(answer, browser=begun.browser)
    assert await desk.service.integrations.page() == []


async def test_an_outage_in_the_midst_is_said_in_one_sentence(desk: Desk) -> None:
    begun = await desk.begin()
    answer = await desk.consent(begun)
    await cause(desk.http, desk.world.url, Outage(provider=LANTERN, seconds=60))
    with pytest.raises(ConnectFailed, match="out of reach"):
        await desk.service.connections.finish(answer, browser=begun.browser)


async def test_an_error_of_the_provider_is_shown_as_a_code_only(desk: Desk) -> None:
    for sent, shown in (("invalid_scope", "invalid_scope"), ("<script>", "an unreadable error")):
        begun = await desk.begin()
        state = (await desk.consent(begun))["state"]
        with pytest.raises(ConnectFailed, match=shown):
            await desk.service.connections.finish({"state": state, "error": sent}, browser=begun.browser)


async def test_an_answer_of_another_issuer_is_refused(desk: Desk) -> None:
    provider = await desk.service.registrations.get(LANTERN)

    await desk.service.registrations.register(msgspec.structs.replace(provider, issuer="https://lantern.example"))
    begun = await desk.begin()
    answer = await desk.consent(begun) | {"iss": "https://evil.example"}
    with pytest.raises(ConnectRefused, match="does not come from Lantern Drive"):
        await desk.service.connections.finish(answer, browser=begun.browser)


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/\\evil.example", "/a\nb", "", "settings", "/" + "a" * 600]
)
async def test_where_to_return_to_is_a_path_of_this_site(desk: Desk, path: str) -> None:
    with pytest.raises(ConfigError, match="return_to must be a path"):
        await desk.begin(return_to=path)


async def test_unknown_and_archived_tenants_are_not_connected(desk: Desk) -> None:
    await desk.service.tenants.archive(TENANT)
    with pytest.raises(ConnectRefused, match="no tenant 'copper-bakery'"):
        await desk.begin()


async def test_connecting_again_heals_a_revoked_integration_under_its_id(desk: Desk) -> None:
    first = await desk.connect()
    held = await desk.service.disconnecting.disconnect(first)
    assert held.not_revoked is None
    assert await desk.connect() == first
    found = await desk.service.integrations.get(first)
    assert found is not None
    assert (found.status, found.status_reason) == ("active", None)
    assert await desk.is_honoured((await desk.service.access.get(first)).access_token)


@pytest.mark.parametrize("slug", [LANTERN, "harbor-files"])  # a secret in the body, and in a header
async def test_disconnecting_revokes_at_the_provider_and_deletes_the_tokens(desk: Desk, slug: str) -> None:
    connected = await desk.connect(slug)
    token = (await desk.service.access.get(connected)).access_token
    with acting(Actor(user_id="auth|2", endpoint="/integrations")):
        disconnected = await desk.service.disconnecting.disconnect(connected)
    assert disconnected.not_revoked is None
    assert not await desk.is_honoured(token, slug)
    found = await desk.service.integrations.get(connected)
    assert found is not None
    assert (found.status, found.expires_at, found.refresh_at) == ("pending", None, None)
    assert await desk.service.integrations.access(connected) is None
    assert (await desk.actions())[-1] == ("auth|2", "integration.disconnected")
    with pytest.raises(Gone):
        await desk.service.access.get(connected)


async def test_disconnecting_deletes_the_tokens_even_if_the_provider_cannot_be_asked(
    home: Home, demo: World, world: World
) -> None:
    async with open_desk(home, world) as desk:
        connected = await desk.connect()
        provider = await desk.service.registrations.get(LANTERN)

        gone = msgspec.structs.replace(provider, revoke_url="http://127.0.0.1:1/revoke")
        await desk.service.registrations.register(gone)
        disconnected = await desk.service.disconnecting.disconnect(connected)
        assert disconnected.not_revoked == "it did not answer"
        assert await desk.service.integrations.access(connected) is None
        again = await desk.service.disconnecting.disconnect(connected)
        assert again.not_revoked is None, "there is nothing left to revoke"


async def test_a_refresh_that_is_under_way_is_waited_for_before_its_token_is_given_back(
    home: Home, world: World, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned_away, seize = threading.Event(), row.seize

    def watched(connection: Connection, integration_id: str, **lock: Any) -> row.Seized | None:
        held = seize(connection, integration_id, **lock)
        if held is None:
            turned_away.set()
        return held

    monkeypatch.setattr(row, "seize", watched)
    async with open_desk(home, world) as desk:
        connected = await desk.connect()
        provider = await desk.service.registrations.get(LANTERN)
        await desk.service.registrations.register(
            msgspec.structs.replace(provider, token_url=endpoint.provider().token_url)
        )
        endpoint.may_answer.clear()
        refresh = asyncio.create_task(desk.service.refresher.refresh(connected, force=True))
        await endpoint.asked.wait()
        disconnect = asyncio.create_task(desk.service.disconnecting.disconnect(connected))
        assert await asyncio.to_thread(turned_away.wait, 10)
        endpoint.may_answer.set()
        assert (await refresh).outcome == "refreshed"
        await disconnect
        assert await desk.service.integrations.access(connected) is None


async def test_there_is_nothing_to_disconnect_where_nothing_is_connected(desk: Desk) -> None:
    with pytest.raises(Gone, match="no integration 'i-0'"):
        await desk.service.disconnecting.disconnect("i-0")


async def test_an_integration_that_was_connected_for_an_hour_has_been_up_for_it(home: Home, world: World) -> None:
    timer = Timer()
    async with open_desk(home, world, timer) as desk:
        connected = await desk.connect()
        timer.passes(3600)
        await desk.service.disconnecting.disconnect(connected)
        timer.passes(3600)
        history = await desk.service.healths.history(connected, timedelta(days=1))
        assert (history.uptime, history.incidents) == (1.0, ())
