"""Signing in at a certified OpenID provider, and out again."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from tests.counterparts.oidc.oidc_server import CLIENT_SECRET, LIFETIME
from tests.web.openid import BEGIN, CALLBACK, COOKIE, SIGN_OUT_COOKIE, OpenId, running_openid, told
from tests.web.own_site import LOGIN, LOGOUT, STATS, clock_of_now, log_in
from tests.web.site import query_of

from lamplighter.core.config import Settings
from lamplighter.testing import FakeClock
from lamplighter.web.signin import sessions
from lamplighter.web.signin.signed import LEEWAY
from lamplighter.web.site import PAGES

PAUSE = "/api/v1/queues/q/pause"


@pytest.fixture
def clock() -> FakeClock:
    return clock_of_now()


@pytest.fixture
async def openid(own_settings: Settings, clock: FakeClock, node_modules: None) -> AsyncIterator[OpenId]:
    async with running_openid(own_settings, clock) as running:
        yield running


@pytest.fixture
async def browser(openid: OpenId) -> AsyncIterator[httpx2.AsyncClient]:
    async with openid.site.browser() as client:
        yield client


async def test_who_signs_in_at_the_provider_comes_in_as_what_the_settings_say(openid: OpenId) -> None:
    for account, reads, pauses in (("ada", 200, 204), ("bob", 200, 204), ("owner", 403, 403)):
        async with openid.site.browser() as browser:
            came = await openid.sign_in(browser, account)
            assert (came.status_code, came.headers["Location"]) == (303, f"{PAGES}/")
            assert (await browser.get(STATS)).status_code == reads
            assert (await browser.post(PAUSE)).status_code == pauses
            assert COOKIE not in browser.cookies, "it has done its work"


async def test_whoever_has_no_role_here_is_told_so(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    answer = await openid.sign_in(browser, "eve")
    assert (answer.status_code, told(answer)) == (
        403,
        "Beacon knows you, but you have no role here: ask a superadmin to give you one.",
    )
    assert (await browser.get(STATS)).status_code == 401


async def test_what_is_asked_of_the_provider_is_bound_to_this_browser(browser: httpx2.AsyncClient) -> None:
    sent = await browser.get(BEGIN)
    asked = query_of(sent.headers["Location"])
    state, nonce, verifier = browser.cookies[COOKIE].split(".")
    assert (asked["state"], asked["nonce"], asked["code_challenge_method"]) == (state, nonce, "S256")
    assert (asked["response_type"], asked["scope"]) == ("code", "openid")
    assert verifier not in sent.headers["Location"]
    assert set(sent.headers["Set-Cookie"].split("; ")[1:]) == {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=lax"}


async def test_an_answer_with_another_state_signs_nobody_in(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    answer = await openid.answer(browser)
    refused = await browser.get(CALLBACK, params=answer | {"state": "x" * 43})
    assert (refused.status_code, "sign in again" in told(refused)) == (403, True)
    assert (await browser.get(STATS)).status_code == 401


async def test_another_browsers_answer_signs_nobody_in(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    """Or a stranger could have a victim work in the stranger's session."""
    async with openid.site.browser() as stranger:
        answer = await openid.answer(stranger)
    assert (await browser.get(CALLBACK, params=answer)).status_code == 403
    await browser.get(BEGIN)
    assert (await browser.get(CALLBACK, params=answer)).status_code == 403
    assert (await browser.get(STATS)).status_code == 401


async def test_an_answer_works_once(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    answer, kept = await openid.answer(browser), browser.cookies[COOKIE]
    assert (await browser.get(CALLBACK, params=answer)).status_code == 303
    async with openid.site.browser(Cookie=f"{COOKIE}={kept}") as again:
        assert (await again.get(CALLBACK, params=answer)).status_code == 503, "the provider knows the code no more"
        assert "lamplighter" not in again.cookies


@pytest.mark.parametrize(("part", "status"), [(1, 403), (2, 503)])
async def test_an_id_token_with_another_nonce_or_a_code_of_another_verifier_signs_nobody_in(
    openid: OpenId, browser: httpx2.AsyncClient, part: int, status: int
) -> None:
    answer, kept = await openid.answer(browser), browser.cookies[COOKIE].split(".")
    kept[part] = "x" * 43
    async with openid.site.browser(Cookie=f"{COOKIE}={'.'.join(kept)}") as other:
        assert (await other.get(CALLBACK, params=answer)).status_code == status
        assert "lamplighter" not in other.cookies


async def test_an_id_token_that_is_too_old_signs_nobody_in(
    openid: OpenId, browser: httpx2.AsyncClient, clock: FakeClock
) -> None:
    clock.advance(timedelta(seconds=LIFETIME) + LEEWAY + timedelta(hours=1))
    answer = await openid.sign_in(browser)
    assert (answer.status_code, "in a way that counts here" in told(answer)) == (403, True)
    assert (await browser.get(STATS)).status_code == 401


async def test_a_no_is_told(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    answer = await browser.get(CALLBACK, params=await openid.answer(browser, consents=False))
    assert (answer.status_code, "(access_denied)" in told(answer)) == (403, True)


async def test_what_a_stranger_writes_into_an_answer_is_not_shown(browser: httpx2.AsyncClient) -> None:
    for error in ("<script>", "x" * 5000, ""):
        await browser.get(BEGIN)
        state = browser.cookies[COOKIE].split(".")[0]
        answer = await browser.get(CALLBACK, params={"state": state, "error": error})
        assert (answer.status_code, "an unreadable error" in told(answer)) == (403, True)


async def test_a_cookie_that_is_not_whole_counts_as_none(openid: OpenId) -> None:
    async with openid.site.browser() as browser:
        for kept in ("", "a.b", "..", f"{'x' * 101}.b.c", "é.b.c"):
            headers = {"Cookie": f"{COOKIE}={kept}".encode()}
            answer = await browser.get(CALLBACK, params={"state": "", "code": "c"}, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 403, kept


async def test_an_answer_in_the_name_of_another_issuer_is_refused(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    answer = await openid.answer(browser)
    assert answer["iss"] == openid.provider.url
    refused = await browser.get(CALLBACK, params=answer | {"iss": "https://evil.example"})
    assert (refused.status_code, "sign in again" in told(refused)) == (403, True)


async def test_signing_out_leads_by_the_provider_and_back(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    await openid.sign_in(browser)
    page = await browser.post(LOGOUT)
    assert (page.status_code, f'content="0; url={LOGOUT}/oidc"' in page.text) == (200, True)
    assert (await browser.get(STATS)).status_code == 401, "out of here at once"
    there = (await browser.get(f"{LOGOUT}/oidc")).headers["Location"]
    asked = query_of(there)
    assert there.startswith(f"{openid.provider.url}/session/end?")
    assert asked["post_logout_redirect_uri"] == f"{openid.site.url}{LOGIN}"
    assert asked["id_token_hint"].count(".") == 2
    async with httpx2.AsyncClient() as http:
        assert (await http.get(there)).status_code == 200, "the provider takes the hint, and where to come back to"
    assert SIGN_OUT_COOKIE not in browser.cookies
    assert (await browser.get(f"{LOGOUT}/oidc")).headers["Location"] == LOGIN


async def test_the_word_of_the_provider_is_for_signing_out_alone(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    came = await openid.sign_in(browser)
    [cookie] = [one for one in came.headers.get_list("Set-Cookie") if one.startswith(f"{SIGN_OUT_COOKIE}=")]
    assert set(cookie.split("; ")[1:]) == {"HttpOnly", "Max-Age=43200", f"Path={LOGOUT}", "SameSite=strict"}


async def test_no_secret_of_it_is_in_the_store_or_a_log(
    openid: OpenId, browser: httpx2.AsyncClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer, kept = await openid.answer(browser), browser.cookies[COOKIE].split(".")
    await browser.get(CALLBACK, params=answer)
    id_token = next(cookie.value for cookie in browser.cookies.jar if cookie.name == SIGN_OUT_COOKIE)
    ours = "".join(one.getMessage() for one in caplog.records if one.name.startswith("lamplighter"))
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (answer["code"], *kept, id_token, CLIENT_SECRET):
        assert secret
        assert secret not in ours
        assert secret.encode() not in stored


async def test_a_session_from_the_provider_ends_as_any_other(
    openid: OpenId, browser: httpx2.AsyncClient, clock: FakeClock
) -> None:
    await openid.sign_in(browser)
    clock.advance(sessions.LIFE)
    assert (await browser.get(STATS)).status_code == 401


async def test_it_cannot_be_tried_for_ever(openid: OpenId, browser: httpx2.AsyncClient) -> None:
    answers = [await browser.get(CALLBACK, params={"state": "s", "code": "c"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert [(await browser.get(BEGIN)).status_code for _ in range(6)] == [303] * 5 + [429]


async def test_the_password_is_another_way_in_unless_it_is_switched_off(
    own_settings: Settings, clock: FakeClock, node_modules: None
) -> None:
    for switch, shown, status in (("on", True, 303), ("off", False, 403)):
        async with (
            running_openid(own_settings, clock, web_password=switch) as openid,
            openid.site.browser() as browser,
        ):
            await openid.site.set_password()
            page = (await browser.get(LOGIN)).text
            assert ('name="password"' in page, "Sign in with Beacon" in page) == (shown, True)
            assert (await log_in(browser)).status_code == status
