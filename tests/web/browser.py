"""Debian's Chromium, driven by Playwright. Without it the test is skipped and says so; in CI it fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, NoReturn

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

Scheme = Literal["light", "dark"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DESK, PHONE = (1280, 800), (390, 844)


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A browser for as long as the block lasts."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        do_without("chromium is not on PATH: install Debian's package of that name.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def looking(
    browser: Browser,
    url: str,
    who: str,
    *,
    scheme: Scheme = "light",
    size: tuple[int, int] = DESK,
    scripts: bool = True,
) -> AsyncIterator[Page]:
    """A window of somebody who is signed in. Whatever its console complains of fails the test."""
    context: BrowserContext = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    await context.add_cookies([{"name": "caller", "value": who, "url": url}])
    page = await context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    assert [one for one in complaints if "status of 40" not in one] == []


def do_without(reason: str) -> NoReturn:
    """Say that this is not tested."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(f"NOT TESTED IN A BROWSER: {reason}")
