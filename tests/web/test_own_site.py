"""What `lamplighter web` serves: who comes in, by key, token or browser, and who does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.web.identity import AUDIENCE, ISSUER, running_identity
from tests.web.own_site import LOGIN, LOGOUT, STATS, OwnSite, clock_of_now, running_own_site
from tests.web.site import told

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.families.tokens import TokenFamily
from lamplighter.testing import FakeClock
from lamplighter.web.page_headers import POLICY
from lamplighter.web.roles import Role
from lamplighter.web.site import PAGES, open_site


@pytest.fixture
def clock() -> FakeClock:
    return clock_of_now()


async def test_without_proof_nobody_comes_in_and_is_told_how_to(own: OwnSite) -> None:
    async with own.browser() as browser:
        answer = await browser.get(STATS)
    assert told(answer) == (401, "auth/unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="lamplighter"'


async def test_what_is_wrong_with_a_proof_is_not_said(own: OwnSite) -> None:
    good = (await own.key(Role.VIEWER))["Authorization"]
    proofs = [
        "",
        "Bearer",
        "Basic YTpi",
        good + "x",
        "Bearer lamp_0_x",
        "Bearer a.b.c",
        good.replace(" ", ""),
    ]
    async with own.browser() as browser:
        answers = [await browser.get(STATS, headers={"Authorization": proof}) for proof in proofs]
        none = await browser.get(STATS)
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, none.content)}


async def test_a_key_comes_in_with_the_rights_of_its_role(own: OwnSite) -> None:
    viewer, operator = await own.key(Role.VIEWER), await own.key(Role.OPERATOR)
    async with own.browser() as client:
        assert told(await client.get(STATS, headers=viewer)) == (200, [])
        assert told(await client.post("/api/v1/queues/q/pause", headers=viewer))[0] == 403
        assert (await client.post("/api/v1/queues/q/pause", headers=operator)).status_code == 204
        lower = {"authorization": operator["Authorization"].replace("Bearer", "bearer")}
        assert (await client.get(STATS, headers=lower)).status_code == 200


async def test_a_bad_key_is_not_made_good_by_a_cookie(own: OwnSite) -> None:
    async with own.browser() as browser:
        await browser.get(own.link)
        assert (await browser.get(STATS)).status_code == 200
        assert (await browser.get(STATS, headers={"Authorization": "Bearer lamp_0_x"})).status_code == 401


async def test_a_token_of_the_identity_provider_comes_in(own_settings: Settings, clock: FakeClock) -> None:
    async with running_identity(clock) as identity:
        with_issuer = msgspec.structs.replace(
            own_settings,
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
            jwt_jwks_url=identity.url,
            jwt_superadmins=("auth|1",),
        )
        async with running_own_site(App(settings=with_issuer, clock=clock)) as own, own.browser() as client:
            good = {"Authorization": f"Bearer {identity.sign()}"}
            stranger = {"Authorization": f"Bearer {identity.sign(sub='auth|2')}"}
            assert told(await client.get(STATS, headers=good)) == (200, [])
            assert told(await client.get(STATS, headers=stranger)) == (403, "auth/insufficient-permissions")


async def test_nobody_can_be_told_apart_while_the_identity_provider_is_down(
    own_settings: Settings, clock: FakeClock
) -> None:
    nowhere = msgspec.structs.replace(
        own_settings, jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks_url="http://127.0.0.1:9/jwks"
    )
    async with running_identity(clock) as identity:
        token = identity.sign()
    async with running_own_site(App(settings=nowhere, clock=clock)) as own, own.browser() as client:
        answer = await client.get(STATS, headers={"Authorization": f"Bearer {token}"})
        assert told(answer) == (503, "auth/unavailable")
        assert (await client.get(STATS, headers=await own.key(Role.VIEWER))).status_code == 200


async def test_each_caller_has_only_so_many_requests(own_settings: Settings, clock: FakeClock) -> None:
    slow = msgspec.structs.replace(own_settings, web_rate=1)
    async with running_own_site(App(settings=slow, clock=clock)) as own, own.browser() as client:
        one, other = await own.key(Role.VIEWER), await own.key(Role.VIEWER)
        first = await client.get(STATS, headers=one)
        answers = [await client.get(STATS, headers=one) for _ in range(3)]
        assert first.status_code == 200
        assert told(answers[-1]) == (429, "request/too-many")
        assert answers[-1].headers["Retry-After"] == "1"
        assert (await client.get(STATS, headers=other)).status_code == 200


async def test_who_is_nobody_may_not_ask_for_ever(own: OwnSite) -> None:
    good = await own.key(Role.VIEWER)
    async with own.browser() as client:
        wrong = {"Authorization": "Bearer lamp_0_x"}
        first = await client.get(STATS, headers=wrong)
        assert first.status_code == 401
        while (await client.get(STATS, headers=wrong)).status_code != 429:  # sooner or later
            pass
        assert (await client.get(STATS, headers=good)).status_code == 200, "others at that address are not shut out"


async def test_pages_run_nothing_and_are_framed_by_nobody(own: OwnSite) -> None:
    async with own.browser() as browser:
        page = await browser.get(LOGIN)
        assert page.headers["Content-Security-Policy"] == POLICY
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert "<script" not in page.text
        assert "style=" not in page.text
        data = await browser.get(STATS)
        assert data.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_no_page_of_another_site_signs_anybody_in_or_out_or_changes_anything(
    own: OwnSite, headers: dict[str, str]
) -> None:
    await own.set_password()
    async with own.browser() as browser:
        await browser.get(own.link)
        for path in (LOGIN, LOGOUT, "/api/v1/queues/q/pause"):
            assert told(await browser.post(path, headers=headers)) == (403, "auth/cross-site")
        assert (await browser.get(STATS, headers=headers)).status_code == 200
        assert [queue.paused for queue in await own.app.store.stats()] == []


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}])
async def test_our_own_pages_and_programs_do(own: OwnSite, headers: dict[str, str]) -> None:
    async with own.browser() as browser:
        await browser.get(own.link)
        for about in (headers, headers | {"Origin": own.url}):
            assert (await browser.post("/api/v1/queues/q/pause", headers=about)).status_code == 204


async def test_a_path_that_is_not_there_is_said_so(own: OwnSite) -> None:
    async with own.browser() as browser:
        assert told(await browser.get("/nowhere")) == (404, "route/not-found")
        page = await browser.get(f"{PAGES}/nowhere")
        assert (page.status_code, "Not here" in page.text) == (404, True)


async def test_a_token_family_of_the_app_is_served_too(own_settings: Settings, clock: FakeClock) -> None:
    app = App(settings=own_settings, clock=clock)
    TokenFamily(app)
    async with running_own_site(app) as own, own.browser() as client:
        assert told(await client.get("/api/v1/audit", headers=await own.key(Role.VIEWER))) == (200, [])


async def test_without_one_there_is_nothing_about_integrations(own: OwnSite) -> None:
    async with own.browser() as client:
        assert told(await client.get("/api/v1/audit", headers=await own.key(Role.VIEWER)))[0] == 404


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lamps.example"])
async def test_where_nobody_could_sign_in_other_machines_are_not_listened_to(
    own_settings: Settings, clock: FakeClock, host: str
) -> None:
    async with App(settings=own_settings, clock=clock) as app:
        with pytest.raises(ConfigError, match="nobody could sign in from outside"):
            async with open_site(app, host=host, port=80):
                pass


async def test_a_live_key_is_enough_to_listen_to_other_machines(own_settings: Settings, clock: FakeClock) -> None:
    async with running_own_site(App(settings=own_settings, clock=clock)) as own:
        made = await own.keys.make("ops", Role.OPERATOR)
        async with open_site(own.app, host="0.0.0.0", port=80) as site:
            assert site.login_link is None, "nobody knows where browsers find it"
        await own.keys.revoke(made.key.id)
        with pytest.raises(ConfigError, match="nobody could sign in"):
            async with open_site(own.app, host="0.0.0.0", port=80):
                pass
        await own.set_password()
        async with open_site(own.app, host="0.0.0.0", port=80):
            pass


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"web_url": "http://lamps.example"}, "web_url must be an https"),
        ({"web_url": "https://lamps.example/?a=b"}, "web_url must be an https"),
        ({"jwt_issuer": ISSUER}, "belong together"),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    own_settings: Settings, clock: FakeClock, changes: dict[str, Any], why: str
) -> None:
    async with App(settings=msgspec.structs.replace(own_settings, **changes), clock=clock) as app:
        with pytest.raises(ConfigError, match=why):
            async with open_site(app, host="127.0.0.1", port=80):
                pass


async def test_integrations_need_an_address_that_providers_can_send_browsers_to(
    own_settings: Settings, clock: FakeClock
) -> None:
    app = App(settings=own_settings, clock=clock)
    TokenFamily(app)
    async with running_own_site(app) as own:
        await own.set_password()
        with pytest.raises(ConfigError, match="set web_url"):
            async with open_site(app, host="0.0.0.0", port=80):
                pass
