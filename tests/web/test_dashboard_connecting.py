"""Connecting from the dashboard: what is asked, where it leads, and what is said on the way back."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.web.board import running_board
from tests.web.own_site import OwnSite, running_own_site
from tests.web.site import consent, query_of

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.demo.catalog import PROVIDERS
from lamplighter.demo.settle import registered
from lamplighter.demo.world import World
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.service import Service
from lamplighter.integrations.tenants import Tenant
from lamplighter.web import dashboard
from lamplighter.web.pages.connecting import LONGEST_RETURN
from lamplighter.web.roles import Role
from lamplighter.web.site import PAGES

CONNECT = f"{PAGES}/integrations/connect"
LANTERN = "lantern-drive"
WISH = {"tenant": "t&t", "provider": LANTERN}


@pytest.fixture
async def shop(own_settings: Settings, world: World) -> AsyncIterator[OwnSite]:
    """What `lamplighter web` serves of an app with providers and a tenant, who has connected nothing."""
    app = App(settings=own_settings)
    tokens = TokenFamily(app)
    async with running_own_site(app) as own:
        for provider in PROVIDERS:
            await tokens.service.registrations.register(registered(provider, world.url))
        await tokens.service.tenants.add([Tenant(id="t&t", name="Tea & Toast", owner_id="auth|1")])
        yield own


@pytest.fixture
async def browser(shop: OwnSite) -> AsyncIterator[httpx2.AsyncClient]:
    """One in which a superadmin has signed in."""
    async with shop.browser() as client:
        await client.get(shop.link)
        yield client


def service(shop: OwnSite) -> Service:
    tokens = shop.app.part(TokenFamily)
    assert tokens is not None
    return tokens.service


def way_out(page: httpx2.Response) -> str:
    """Where the page leads at once."""
    assert page.status_code == 200, page.text
    [url] = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    return html.unescape(url)


async def come_back(browser: httpx2.AsyncClient, url: str, user: str | None = "ada") -> str:
    """Agree as that user, or not; the path to which the callback sends the browser."""
    answer = await browser.get(query_of(url)["redirect_uri"], params=await consent(url, user))
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


async def test_a_tenant_is_connected_and_the_page_says_so(shop: OwnSite, browser: httpx2.AsyncClient) -> None:
    form = (await browser.get(CONNECT, params=WISH)).text
    assert '<option value="t&amp;t">Tea &amp; Toast</option>' in form
    assert f'<option value="{LANTERN}" selected>Lantern Drive</option>' in form
    back = await come_back(browser, way_out(await browser.post(CONNECT, data=WISH)))
    assert back == f"{PAGES}/integrations?tenant=t%26t&connected={LANTERN}"
    page = (await browser.get(back)).text
    assert '<p class="notice" role="status">Connected:' in page
    assert '<span class="state active">' in page
    [one] = await service(shop).integrations.page()
    assert (one.tenant_id, one.provider_slug, one.metadata) == ("t&t", LANTERN, {"connected_by": "admin"})


async def test_both_the_wish_and_what_came_of_it_are_in_the_audit_log(
    shop: OwnSite, browser: httpx2.AsyncClient
) -> None:
    await come_back(browser, way_out(await browser.post(CONNECT, data=WISH)))
    log = {one.action: one for one in await service(shop).audit.page(limit=10)}
    assert log["integration.connect"].details["metadata"] == WISH
    assert (log["integration.connected"].tenant_id, log["integration.connected"].user_id) == ("t&t", "admin")


async def test_connecting_again_heals_the_same_integration(shop: OwnSite, browser: httpx2.AsyncClient) -> None:
    await come_back(browser, way_out(await browser.post(CONNECT, data=WISH)))
    [one] = await service(shop).integrations.page()
    await service(shop).disconnecting.disconnect(one.id)
    at = f"{PAGES}/tenants/t%26t/integrations/{one.id}"
    assert f'action="{at}/reconnect"><button class="main">' in (await browser.get(at)).text
    back = await come_back(browser, way_out(await browser.post(f"{at}/reconnect")))
    assert back == f"{at}?connected={LANTERN}"
    [healed] = await service(shop).integrations.page()
    assert (healed.id, healed.status) == (one.id, "active")


async def test_a_no_is_told_and_changes_nothing(shop: OwnSite, browser: httpx2.AsyncClient) -> None:
    back = await come_back(browser, way_out(await browser.post(CONNECT, data=WISH)), None)
    page = (await browser.get(back)).text
    assert '<p class="notice bad" role="alert">Not connected: at the provider somebody said no.' in page
    assert await service(shop).integrations.page() == []


@pytest.mark.parametrize("query", [{"connected": "<b>x</b>"}, {"connect_error": "<b>x</b>"}, {"did": "<b>x</b>"}])
async def test_an_address_brings_no_words_of_its_own(browser: httpx2.AsyncClient, query: dict[str, str]) -> None:
    page = await browser.get(f"{PAGES}/integrations", params=query)
    assert (page.status_code, "x&lt;" in page.text, "<b>x" in page.text) == (200, False, False)


@pytest.mark.parametrize(
    ("wish", "status", "says"),
    [
        ({"tenant": "nobody", "provider": LANTERN}, 404, "There is no tenant"),
        ({"tenant": "t&t", "provider": "none"}, 404, "No provider"),
        ({"tenant": "\0", "provider": LANTERN}, 400, "which tenant"),
        ({"tenant": "t" * 201, "provider": LANTERN}, 400, "which tenant"),
        ({"tenant": "t&t", "provider": "x\0"}, 400, "which provider"),
        ({}, 400, "which tenant"),
    ],
)
async def test_what_cannot_be_connected_is_a_page_that_says_why(
    browser: httpx2.AsyncClient, wish: dict[str, str], status: int, says: str
) -> None:
    answer = await browser.post(CONNECT, data=wish)
    assert (answer.status_code, says in answer.text) == (status, True)
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER, Role.TENANT])
async def test_others_than_superadmins_connect_nothing(shop: OwnSite, role: Role) -> None:
    theirs = await shop.key(role, **({"tenants": ["t&t"]} if role is Role.TENANT else {}))
    async with shop.browser(**theirs) as client:
        if role is not Role.TENANT:
            assert CONNECT not in (await client.get(f"{PAGES}/integrations")).text
        assert (await client.get(CONNECT)).status_code == 403
        assert (await client.post(CONNECT, data=WISH)).status_code == 403


async def test_a_page_of_another_site_connects_nothing(browser: httpx2.AsyncClient) -> None:
    answer = await browser.post(CONNECT, data=WISH, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


async def test_from_another_host_than_the_callbacks_nobody_is_sent_away(browser: httpx2.AsyncClient) -> None:
    """The cookie that is given here would not come back there."""
    there = {"Origin": "http://localhost:1", "Host": "localhost:1"}
    answer = await browser.post(CONNECT, data=WISH, headers=there)
    assert (answer.status_code, "connect from there" in answer.text) == (400, True)


async def test_a_dashboard_without_a_callback_offers_no_connecting(tmp_path: Path) -> None:
    async with running_board(f"sqlite:///{tmp_path}/jobs.db", integrating=True) as board:
        assert "/connect" not in await board.page("/integrations", "superadmin")
        assert "was not told" in await board.page("/integrations/connect", "superadmin")
        assert (await board.post("/integrations/connect", "superadmin")).status_code == 400


async def test_a_callback_that_browsers_cannot_trust_is_refused(tmp_path: Path) -> None:
    async def nobody(_: object) -> None: ...

    with pytest.raises(ConfigError, match="callback_url must be the https"):
        dashboard(App(f"sqlite:///{tmp_path}/jobs.db"), identify=nobody, callback_url="http://shop.example/callback")


async def test_a_tenant_of_a_very_long_name_leads_back_to_all_integrations(
    shop: OwnSite, browser: httpx2.AsyncClient
) -> None:
    name = "ä" * 150
    await service(shop).tenants.add([Tenant(id=name, name=name, owner_id="auth|1")])
    back = await come_back(browser, way_out(await browser.post(CONNECT, data=WISH | {"tenant": name})))
    assert back == f"{PAGES}/integrations?connected={LANTERN}"
    assert len(f"{PAGES}/integrations?tenant={'%C3%A4' * 150}") > LONGEST_RETURN
