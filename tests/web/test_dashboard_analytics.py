"""The page about what is added up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect
from tests.families.running import TENANT
from tests.web.board import OTHER, Board, running_board
from tests.web.browser import looking
from tests.web.rolled import FAILED, TOOK, rolled_up


@pytest.fixture
async def whole(sqlite: str) -> AsyncIterator[Board]:
    async with running_board(sqlite, integrating=True) as running:
        assert running.tokens is not None
        async with rolled_up(running.app, running.tokens):
            yield running


async def test_a_metric_is_shown_of_all_and_of_a_tenant(whole: Board) -> None:
    page = await whole.page("/analytics", span="7d")
    assert "Jobs done, and how long they ran" in page
    assert f'data-label="Number" class="n">{len(TOOK)}</td>' in page
    of_tenant = await whole.page("/analytics", metric="jobs.failed", tenant=TENANT, span="2y")
    assert f'data-label="Total" class="n">{FAILED}</td>' in of_tenant
    assert "Nothing happened" in await whole.page("/analytics", tenant=OTHER)
    assert "&lt;script&gt;" in await whole.page("/analytics", tenant="<script>", metric="<script>")


async def test_charts_and_spreadsheets_are_told_the_same(whole: Board) -> None:
    query = {"metric": "jobs.failed", "tenant": TENANT, "span": "60d"}
    line = (await whole.ask("viewer", "/analytics/line", query=query)).json()["data"]
    assert line["total"] == [FAILED]
    table = (await whole.ask("viewer", "/analytics/csv", query=query)).text.splitlines()
    assert table[1].endswith(f",{FAILED}.0")
    assert (await whole.ask("viewer", "/analytics/line", query={"metric": "nothing"})).status_code == 404
    assert (await whole.ask("tenant", "/analytics/csv", query=query)).status_code == 403


async def test_by_keyboard_another_metric_is_chosen_and_drawn(whole: Board, browser: Browser) -> None:
    async with looking(browser, whole.url, "viewer") as page:
        await page.goto(f"{whole.url}/analytics?span=7d")
        await expect(page.locator(".chart canvas")).to_have_count(2)
        await page.get_by_label("Metric").select_option("jobs.failed")
        await page.get_by_label("Metric").press("Tab")
        await page.keyboard.type(TENANT)
        await page.keyboard.press("Enter")
        await expect(page.locator(".chart canvas")).to_have_count(1)
        await expect(page.locator("h1")).to_contain_text(TENANT)
        await expect(page.locator("tbody td.n")).to_have_text([str(FAILED)])
