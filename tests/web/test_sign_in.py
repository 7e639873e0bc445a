"""Browsers: how somebody signs in on them, and for how long."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.families.running import in_file
from tests.web.own_site import LOGIN, LOGOUT, PASSWORD, STATS, OwnSite, clock_of_now, log_in, running_own_site

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.families.tokens import TokenFamily
from lamplighter.testing import FakeClock
from lamplighter.web.signin import door, sessions
from lamplighter.web.signin.allowance import Allowance
from lamplighter.web.signin.once import LIFE as LINK_LIFE
from lamplighter.web.signin.recalled import KNOWN
from lamplighter.web.site import PAGES


@pytest.fixture
def clock() -> FakeClock:
    return clock_of_now()


async def test_a_link_lets_one_browser_in_once(own: OwnSite) -> None:
    async with own.browser() as first, own.browser() as second:
        came = await first.get(own.link)
        assert (came.status_code, came.headers["Location"]) == (303, f"{PAGES}/")
        assert (await first.get(STATS)).status_code == 200
        late = await second.get(own.link)
        assert (late.status_code, "used already" in late.text) == (403, True)
        assert (await second.get(STATS)).status_code == 401


async def test_a_link_is_too_old_after_ten_minutes(own: OwnSite, clock: FakeClock) -> None:
    clock.advance(LINK_LIFE)
    async with own.browser() as browser:
        assert (await browser.get(own.link)).status_code == 403
        assert (await browser.get(STATS)).status_code == 401


async def test_the_right_password_lets_somebody_in_and_logging_out_lets_them_out(own: OwnSite) -> None:
    await own.set_password()
    async with own.browser() as browser:
        assert (await browser.get(LOGIN)).status_code == 200
        came = await log_in(browser)
        assert (came.status_code, came.headers["Location"]) == (303, f"{PAGES}/")
        assert (await browser.get(STATS)).status_code == 200
        id_ = browser.cookies["lamplighter"]
        went = await browser.post(LOGOUT)
        assert (went.status_code, went.headers["Location"]) == (303, LOGIN)
        assert "lamplighter" not in browser.cookies
        assert (await browser.get(STATS, headers={"Cookie": f"lamplighter={id_}"})).status_code == 401


@pytest.mark.parametrize("wrong", ["", PASSWORD + "x", PASSWORD[:-1], "x" * 2000, "\0", "é"])
async def test_another_password_does_not(own: OwnSite, wrong: str) -> None:
    await own.set_password()
    async with own.browser() as browser:
        answer = await log_in(browser, wrong)
        assert (answer.status_code, "not the password" in answer.text) == (403, True)
        assert not browser.cookies


async def test_where_no_password_is_set_none_is_right(own: OwnSite) -> None:
    async with own.browser() as browser:
        for body in ("password=", "", "&".join(f"f{number}=1" for number in range(20)), "password=%ff", "x" * 5000):
            assert (await browser.post(LOGIN, content=body)).status_code in {403, 429}
        assert not browser.cookies


async def test_a_session_is_over_after_twelve_hours(own: OwnSite, clock: FakeClock) -> None:
    async with own.browser() as browser:
        await browser.get(own.link)
        clock.advance(sessions.LIFE - timedelta(seconds=1))
        assert (await browser.get(STATS)).status_code == 200
        clock.advance(1)
        assert (await browser.get(STATS)).status_code == 401


async def test_signing_in_again_makes_the_session_before_worthless(own: OwnSite) -> None:
    await own.set_password()
    async with own.browser() as browser:
        await log_in(browser)
        before = browser.cookies["lamplighter"]
        await log_in(browser)
        assert browser.cookies["lamplighter"] != before
        assert (await browser.get(STATS, headers={"Cookie": f"lamplighter={before}"})).status_code == 401


async def test_an_id_that_somebody_planted_is_not_taken_over(own: OwnSite) -> None:
    await own.set_password()
    async with own.browser() as browser:
        browser.cookies.set("lamplighter", "planted", domain="127.0.0.1")
        await browser.post(LOGIN, data={"password": PASSWORD})
    async with own.browser(Cookie="lamplighter=planted") as thief:
        assert (await thief.get(STATS)).status_code == 401


async def test_the_store_has_no_session_id_and_no_password(own: OwnSite, clock: FakeClock, tmp_path: Path) -> None:
    await own.set_password()
    async with own.browser() as browser:
        await log_in(browser)
        id_ = browser.cookies["lamplighter"]
    [record] = await own.app.store.records(sessions.KIND, now=clock())
    assert id_ not in record.name + record.value
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert id_.encode() not in content
        assert PASSWORD.encode() not in content


async def test_a_new_password_signs_everybody_out(own: OwnSite, clock: FakeClock) -> None:
    async with own.browser() as browser:
        await browser.get(own.link)
        assert (await browser.get(STATS)).status_code == 200
        await sessions.Sessions(own.app.store, clock=clock, secure=True).end_all()
        clock.advance(KNOWN)
        assert (await browser.get(STATS)).status_code == 401


async def test_sessions_are_bounded_and_the_oldest_makes_room(
    own: OwnSite, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST", 2)
    await own.set_password()
    async with own.browser() as first, own.browser() as second, own.browser() as third:
        for browser in (first, second, third):
            await log_in(browser)
            clock.advance(1)
        assert [(await browser.get(STATS)).status_code for browser in (first, second, third)] == [401, 200, 200]
    assert len(await own.app.store.records(sessions.KIND, now=clock())) == 2


async def test_the_cookie_is_for_this_site_alone_and_for_no_script(own: OwnSite) -> None:
    async with own.browser() as browser:
        cookie = (await browser.get(own.link)).headers["Set-Cookie"]
    name, _, rest = cookie.partition("=")
    assert name == "lamplighter"
    assert [part.strip().lower() for part in rest.split(";")[1:]] == [
        "httponly",
        "max-age=43200",
        "path=/",
        "samesite=lax",
    ]


async def test_behind_https_the_cookie_is_secure_and_of_this_host(own_settings: Settings, clock: FakeClock) -> None:
    outside = msgspec.structs.replace(own_settings, web_url="https://lamps.example/")
    async with running_own_site(App(settings=outside, clock=clock)) as own, own.browser() as browser:
        assert own.link.startswith(f"https://lamps.example{LOGIN}?once=")
        cookie = (await browser.get(own.link.replace("https://lamps.example", own.url))).headers["Set-Cookie"]
    assert cookie.startswith("__Host-lamplighter=")
    assert "Secure" in cookie
    assert "Path=/;" in cookie
    assert "Domain" not in cookie


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries, however slow the machine is."""
    monkeypatch.setattr(door, "Allowance", partial(Allowance, passed=lambda: 0.0))


async def test_passwords_cannot_be_tried_out(no_time_passes: None, own: OwnSite) -> None:
    await own.set_password()
    async with own.browser() as browser:
        answers = [await log_in(browser, f"guess {number}") for number in range(6)]
        assert [answer.status_code for answer in answers] == [403] * 5 + [429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 5
        assert (await log_in(browser)).status_code == 429, "the right one does not help, or they could go on"
        assert (await browser.get(own.link)).status_code == 303, "a link cannot be tried out"


async def test_who_signs_in_or_out_or_may_not_is_noted(tmp_path: Path) -> None:
    app = App(settings=in_file(tmp_path).settings())
    tokens = TokenFamily(app)
    async with running_own_site(app) as own, own.browser() as browser:
        await own.set_password()
        await log_in(browser, "a guess")
        await log_in(browser)
        await browser.post(LOGOUT)
        await browser.post(LOGOUT)
        await browser.get(own.link)
        await browser.get(own.link)
        latest_last = reversed(await tokens.service.audit.page())
    assert [(one.action, one.result, one.user_id) for one in latest_last] == [
        ("session.begin", "failure", "admin"),
        ("session.begin", "success", "admin"),
        ("session.end", "success", "admin"),
        ("session.begin", "success", "admin"),
        ("session.begin", "failure", "admin"),
    ]
