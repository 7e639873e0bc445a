"""The dashboard as people use it: in a real browser, with and without scripts, in both schemes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect
from tests.families.running import TENANT
from tests.web.axe import objections
from tests.web.board import AT, PAGES, WITH_INTEGRATIONS, Board, running_board
from tests.web.browser import DESK, PHONE, Scheme, looking
from tests.web.filed import Filed, add_source, fill
from tests.web.own_site import PASSWORD, running_own_site

from lamplighter import App, Ctx
from lamplighter.core.config import Settings

PREVIEW = "/notifications/events?event=integration.revoked"


@pytest.fixture
async def whole(sqlite: str) -> AsyncIterator[Board]:
    """A dashboard with every page."""
    async with running_board(sqlite, integrating=True) as running:
        yield running


async def test_a_failed_job_is_read_retried_and_watched_until_it_is_done(board: Board, browser: Browser) -> None:
    await board.fail("inbox")
    async with looking(browser, board.url, "operator") as page:
        await page.goto(f"{board.url}/")
        await page.get_by_role("link", name="By cause", exact=True).click()
        await page.get_by_role("link", name="export", exact=True).click()
        await expect(page.locator(".traceback .error")).to_have_text("ValueError: folder 'inbox' has no owner")
        board.jobs.broken = False
        await page.get_by_role("button", name="Retry").click()
        await expect(page.get_by_text("Queued again")).to_be_visible()
        await expect(page.locator(".headline .state")).to_have_text("queued")
        async with board.app.worker():  # the page is not loaded again: it comes to know by itself
            await expect(page.locator(".headline .state")).to_have_text("done")
        await expect(page.get_by_role("button", name="Retry")).to_be_visible()


async def test_a_queue_is_paused_by_keyboard_alone(board: Board, browser: Browser) -> None:
    await board.app.enqueue([board.jobs.greet.draft("Ada")])
    async with looking(browser, board.url, "operator") as page:
        await page.goto(f"{board.url}/queues/mail")
        await _press_until(page, "Pause…")
        await page.keyboard.press("Enter")
        await _press_until(page, "Yes, pause this queue")
        await page.keyboard.press("Enter")
        await expect(page.locator(".headline .state")).to_have_text("paused")
    assert [one.paused for one in await board.app.store.stats()] == [True]


async def test_a_file_is_found_by_what_it_says_and_its_source_is_paused(whole: Board, browser: Browser) -> None:
    await some_files(whole)
    async with looking(browser, whole.url, "operator") as page:
        await page.goto(f"{whole.url}/")
        await page.get_by_role("link", name="Files", exact=True).click()
        await expect(page.get_by_role("progressbar")).to_have_attribute("value", "2")
        await page.get_by_role("link", name="Papers").click()
        await page.get_by_label("What files say").fill('"flour and" cinn*')
        await page.keyboard.press("Enter")
        await expect(page.locator("mark")).to_have_text(["Flour and", "cinnamon"])
        await page.get_by_role("link", name="may.txt").click()
        await page.get_by_role("link", name="Read what it says").click()
        await expect(page.locator("pre")).to_have_text("Flour and cinnamon")
        await page.get_by_role("link", name="Files", exact=True).first.click()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("td .state")).to_have_text("paused")
        assert await page.get_by_role("button", name="Resume").is_visible()


async def test_without_scripts_all_can_be_read_and_done(board: Board, browser: Browser) -> None:
    await board.fail("inbox")
    async with looking(browser, board.url, "operator", scripts=False) as page:
        await page.goto(f"{board.url}/jobs")
        await page.get_by_label("State").select_option("failed")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="export", exact=True).click()
        await expect(page.locator(".traceback")).to_be_visible()
        await page.get_by_text("Cancel…").wait_for(state="detached")
        await page.get_by_role("button", name="Retry").click()
        await expect(page.locator(".headline .state")).to_have_text("queued")
        await page.get_by_text("Cancel…").click()
        await page.get_by_role("button", name="Yes, cancel this job").click()
        await expect(page.locator(".headline .state")).to_have_text("cancelled")


async def test_a_viewer_sees_no_buttons_and_is_told_no(board: Board, browser: Browser) -> None:
    [failed] = await board.fail("inbox")
    async with looking(browser, board.url, "viewer") as page:
        await page.goto(f"{board.url}/jobs/{failed.id}")
        await expect(page.locator(".traceback")).to_be_visible()
        assert await page.locator("form[method=post]").count() == 0
        retry = f"fetch('{board.url}/jobs/{failed.id}/retry', {{method: 'POST'}}).then(answer => answer.status)"
        assert await page.evaluate(retry) == 403, "and without a button it is no better"
    async with looking(browser, board.url, "tenant") as page:
        await page.goto(f"{board.url}/")
        await expect(page.get_by_role("heading")).to_have_text("Not for you")


async def test_the_admin_signs_in_runs_a_schedule_and_signs_out(own_settings: Settings, browser: Browser) -> None:
    app = App(settings=own_settings)
    greet = app.job("greet")(_greet)
    app.cron("0 7 * * *", greet.draft("early birds"), name="greet.daily")
    async with running_own_site(app) as own, looking(browser, own.url, "nobody") as page:
        await own.set_password()
        await page.goto(own.url)
        await expect(page).to_have_title("Sign in · Lamplighter")
        await page.get_by_label("Password of the admin").fill("a guess")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That is not the password.")
        await page.get_by_label("Password of the admin").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Crons").click()
        await page.get_by_role("button", name="Run now").click()
        await expect(page.locator(".headline .state")).to_have_text("queued")
        async with app.worker():
            await expect(page.locator(".headline .state")).to_have_text("done")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_title("Sign in · Lamplighter")
        await page.goto(f"{own.url}/admin/queues/jobs")
        await expect(page).to_have_title("Sign in · Lamplighter")


async def _greet(ctx: Ctx[None], name: str) -> str:
    return f"Good evening, {name}"


async def test_what_was_opened_and_focused_stays_so_when_the_page_is_made_fresh(board: Board, browser: Browser) -> None:
    await board.app.enqueue([board.jobs.greet.draft("Ada")])
    async with looking(browser, board.url, "operator") as page:
        await page.goto(f"{board.url}/queues/mail")
        await page.get_by_text("Pause…").click()
        button = page.get_by_role("button", name="Yes, pause this queue")
        await button.focus()
        await board.app.enqueue([board.jobs.greet.draft("Bea")])
        await expect(page.locator(".tiles dd").first).to_have_text("2")
        await expect(button).to_be_focused()


async def test_what_is_switched_off_or_hidden_asks_for_nothing(board: Board, browser: Browser) -> None:
    async with looking(browser, board.url, "viewer") as page:
        await page.clock.install()
        await page.goto(f"{board.url}/queues")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        async with page.expect_response("**/queues"):
            await page.clock.run_for(5_000)
        await page.get_by_role("button", name="Live").click()
        asked.clear()
        await page.clock.run_for(60_000)
        assert asked == []
        async with page.expect_response("**/queues"):
            await page.get_by_role("button", name="Paused").click()
        await page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true})")
        asked.clear()
        await page.clock.run_for(60_000)
        assert asked == []


@pytest.mark.parametrize("path", ["/?span=24h", "/queues/exports"])
async def test_charts_are_drawn(board: Board, browser: Browser, path: str) -> None:
    async with looking(browser, board.url, "viewer") as page:
        await page.goto(f"{board.url}{path}")
        await expect(page.locator(".chart canvas")).to_have_count(4)


async def a_job_that_logged(board: Board) -> str:
    """Its id: there is a line of each level, one of them long."""

    @board.app.job()
    async def clerk(ctx: Ctx[None]) -> None:
        ctx.log.debug("looking")
        ctx.log.info("indexed", files=12, folder="x" * 200)
        ctx.log.warning("late")
        ctx.log.error("lost")

    handle = await clerk.enqueue()
    await board.app.work(until_idle=True)
    return handle.id


async def some_files(board: Board) -> list[str]:
    """Where pages show them: of a tenant, found, one of them."""
    assert board.tokens is not None
    source = await add_source(board.tokens.service, TENANT)
    filed = [
        Filed("ledgers/may.txt", "Flour and cinnamon"),
        Filed("a-picture-of-everybody-who-baked.jpg", status="error", reason="it is cut off"),
        Filed("ledgers/june.txt", status="pending"),
    ]
    [first, *_] = await fill(board.tokens.service, source, filed, failure="it did not answer in time")
    at = f"/tenants/{TENANT}/files"
    return [at, f"{at}/search?q=cinnamon", f"{at}/{first}"]


@pytest.mark.timeout(300)  # some twenty pages, each looked over whole
@pytest.mark.parametrize(("scheme", "size"), [("light", DESK), ("dark", PHONE)])  # neither depends on the other
async def test_no_page_has_anything_that_axe_objects_to(
    whole: Board, browser: Browser, scheme: Scheme, size: tuple[int, int]
) -> None:
    [failed, *_] = await whole.fail("inbox", "outbox")
    talked = await a_job_that_logged(whole)
    await whole.app.enqueue(whole.jobs.greet.draft(str(number)) for number in range(60))
    await whole.app.pause("mail")
    await whole.app.gates.open("provider:lantern")
    about_files = await some_files(whole)
    found = {}
    async with looking(browser, whole.url, "operator", scheme=scheme, size=size) as page:
        await page.goto(f"{whole.url}/failures")
        group = await page.get_by_role("link", name="Retry…").first.get_attribute("href")
        one = f"/jobs/{failed.id}"
        retry = (group or "").removeprefix(AT)
        more = (one, f"{one}/edit", retry, f"/jobs/{talked}", "/jobs?args=x", "/jobs/none", PREVIEW)
        for path in (*PAGES, *WITH_INTEGRATIONS, *about_files, *more):
            await page.goto(whole.url + path)
            found[path] = await objections(page)
            is_too_wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not is_too_wide, path
    assert [f"{path}: {one}" for path, some in found.items() for one in some] == []


async def test_a_mail_is_shown_in_its_frame(whole: Board, browser: Browser) -> None:
    async with looking(browser, whole.url, "operator") as page:
        await page.goto(whole.url + PREVIEW)
        heading = page.frame_locator("iframe.mail").get_by_role("heading")
        assert await heading.inner_text() == "Lantern Drive no longer lets us in for Copper Bakery"


async def _press_until(page: Page, text: str) -> None:
    """Tab on until what is focused says that."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == text:
            return
    raise AssertionError(f"no way to {text!r} by keyboard")
