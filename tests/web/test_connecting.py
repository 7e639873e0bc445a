"""Connecting through HTTP alone: a browser, its cookie, and a provider."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from tests.counterparts.oidc.oidc_server import running_server
from tests.families.running import TENANT, Home
from tests.web.site import AT, LANTERN, Site, consent, query_of, running_site, told

from lamplighter.demo.catalog import find_provider
from lamplighter.demo.client import cause
from lamplighter.demo.faults import Outage
from lamplighter.demo.settle import registered
from lamplighter.demo.world import World

CONNECT = f"/tenants/{TENANT}/integrations/connect"
CALLBACK = "/oauth/callback"


@pytest.fixture
async def lantern(site: Site, world: World) -> None:
    """The demo world's provider is registered."""
    await site.service.registrations.register(registered(find_provider(LANTERN), world.url))


async def begin(browser: httpx2.AsyncClient, return_to: str = "/settings", provider: str = LANTERN) -> str:
    answer = await browser.post(CONNECT, json={"provider": provider, "return_to": return_to})
    status, data = told(answer)
    assert status == 200
    return str(data["url"])


async def come_back(browser: httpx2.AsyncClient, answer: dict[str, str]) -> tuple[int, str]:
    """Where the callback sends the browser, or what it says."""
    sent = await browser.get(CALLBACK, params=answer)
    return sent.status_code, sent.headers.get("Location", sent.text)


async def test_a_tenant_is_connected_at_a_certified_provider(site: Site, node_modules: None) -> None:
    async with running_server(redirect_uris=[site.callback_url]) as oidc, site.calling("owner") as browser:
        await site.service.registrations.register(oidc.provider())
        url = await begin(browser, "/settings?tab=drives#list", "oidc")
        answer = await oidc.sign_in(f"{url}&prompt=consent", "ada")
        assert await come_back(browser, answer) == (303, "/settings?tab=drives&connected=oidc#list")
        assert not browser.cookies, "it has done its work"
        status, [found] = told(await browser.get(f"/tenants/{TENANT}/integrations"))
        assert (status, found["provider"], found["status"]) == (200, "oidc", "active")
        access = await site.service.access.get(found["id"])
        assert await oidc.is_honoured(access.access_token)
    [record] = await site.records("integration.connected")
    assert (record.user_id, record.details["endpoint"]) == ("auth|1", f"{AT}/api/v1{CALLBACK}")
    assert answer["code"] not in str(record)


async def test_the_browsers_secret_is_for_the_callback_alone(site: Site, lantern: None) -> None:
    async with site.calling("owner") as browser:
        answer = await browser.post(CONNECT, json={"provider": LANTERN})
    [value, *attributes] = answer.headers["Set-Cookie"].split("; ")
    assert value.partition("=")[2] not in answer.text
    expected = {"HttpOnly", "Max-Age=600", f"Path={AT}/api/v1{CALLBACK}", "SameSite=lax"}
    assert set(attributes) == expected, "not Secure, for this is loopback"


async def test_behind_tls_the_cookie_is_secure(home: Home, world: World) -> None:
    async with running_site(home, public_url="https://shop.example/cloud") as site:
        await site.service.registrations.register(registered(find_provider(LANTERN), world.url))
        answer = await site.ask("owner", "POST", CONNECT, {"provider": LANTERN})
    assert "; Secure" in answer.headers["Set-Cookie"]
    asked = query_of(answer.json()["data"]["url"])
    assert asked["redirect_uri"] == f"https://shop.example/cloud/api/v1{CALLBACK}"


async def test_an_answer_without_the_cookie_connects_nothing(site: Site, lantern: None) -> None:
    """Or a stranger could have a victim connect the victim's account to the stranger's tenant."""
    async with site.calling("owner") as browser, site.calling(None) as victim:
        answer = await consent(await begin(browser))
        status, text = await come_back(victim, answer)
    assert (status, "begin to connect again" in text) == (400, True)
    assert await site.service.integrations.page() == []


async def test_another_browsers_cookie_connects_nothing(site: Site, lantern: None) -> None:
    async with site.calling("owner") as browser, site.calling("owner") as other:
        answer = await consent(await begin(browser))
        await begin(other)
        [name], [value] = browser.cookies.keys(), other.cookies.values()
        other.cookies.set(name, value)
        status, _ = await come_back(other, answer)
    assert status == 400
    assert await site.service.integrations.page() == []


async def test_an_answer_works_once(site: Site, lantern: None) -> None:
    async with site.calling("owner") as browser:
        answer = await consent(await begin(browser))
        cookies = dict(browser.cookies)
        assert await come_back(browser, answer) == (303, f"/settings?connected={LANTERN}")
        browser.cookies.update(cookies)
        status, _ = await come_back(browser, answer)
    assert status == 400


async def test_two_windows_may_connect_at_once(site: Site, lantern: None, world: World) -> None:
    await site.service.registrations.register(registered(find_provider("harbor-files"), world.url))
    async with site.calling("owner") as browser:
        begun = [await begin(browser, provider=slug) for slug in (LANTERN, "harbor-files")]
        ends = [await come_back(browser, await consent(url)) for url in begun]
    assert ends == [(303, f"/settings?connected={slug}") for slug in (LANTERN, "harbor-files")]


async def test_a_no_leads_back_to_where_the_person_was(site: Site, lantern: None) -> None:
    async with site.calling("owner") as browser:
        answer = await consent(await begin(browser), None)
        assert await come_back(browser, answer) == (303, "/settings?connect_error=denied")


async def test_an_outage_in_the_midst_leads_back_too_and_is_logged(
    site: Site, lantern: None, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.calling("owner") as browser:
        answer = await consent(await begin(browser))
        await cause(browser, world.url, Outage(provider=LANTERN, seconds=60))
        assert await come_back(browser, answer) == (303, "/settings?connect_error=failed")
    [logged] = [one.getMessage() for one in caplog.records if one.name == "lamplighter.web"]
    assert "Lantern Drive is out of reach" in logged
    assert answer["code"] not in logged


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nX-Evil: 1", "\\evil", "settings", "/" * 502],
)
async def test_nobody_is_sent_to_another_site(site: Site, lantern: None, path: str) -> None:
    answer = await site.ask("owner", "POST", CONNECT, {"provider": LANTERN, "return_to": path})
    assert told(answer) == (400, "validation/invalid-input")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/.//evil.example", "/%2f%2fevil.example", "/a?next=https://evil.example", "/@evil"])
async def test_odd_paths_stay_paths_of_this_site(site: Site, lantern: None, path: str) -> None:
    async with site.calling("owner") as browser:
        sent = await browser.get(CALLBACK, params=await consent(await begin(browser, path)))
    assert sent.status_code == 303
    assert sent.next_request is not None
    assert str(sent.next_request.url).startswith(f"{site.url}/")
    assert sent.headers["Location"].startswith(path)


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"provider": "unknown"}, (404, "cloud-integration/provider-not-found")),
        ({"provider": "No Slug"}, (400, "validation/invalid-input")),
        ({"provider": LANTERN, "tenant": "x"}, (400, "validation/invalid-input")),
        ({}, (400, "validation/invalid-input")),
        ([], (400, "validation/invalid-input")),
    ],
)
async def test_what_cannot_be_connected_is_refused(site: Site, wish: Any, code: tuple[int, str]) -> None:
    assert told(await site.ask("owner", "POST", CONNECT, wish)) == code


async def test_a_tenant_that_does_not_exist_is_not_connected(site: Site, lantern: None) -> None:
    answer = await site.ask("superadmin", "POST", "/tenants/t-0/integrations/connect", {"provider": LANTERN})
    assert told(answer) == (404, "cloud-integration/tenant-not-found")


@pytest.mark.parametrize("state", ["", "<script>alert(1)</script>", "x" * 5000, "\x00"])
async def test_what_a_stranger_sends_to_the_callback_is_not_shown(site: Site, state: str) -> None:
    async with site.calling(None) as browser:
        sent = await browser.get(CALLBACK, params={"state": state, "code": "c", "error": state})
    assert (sent.status_code, sent.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert "script" not in sent.text
    assert sent.headers["Referrer-Policy"] == "no-referrer"
