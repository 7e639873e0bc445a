"""Signing in at an OpenID provider in a real browser, whose rules of cookies and policies are the ones that count."""

from __future__ import annotations

from playwright.async_api import Browser, expect
from tests.web.axe import objections
from tests.web.browser import looking
from tests.web.openid import running_openid

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings


async def test_somebody_signs_in_at_the_provider_and_out_of_both(
    own_settings: Settings, browser: Browser, node_modules: None
) -> None:
    async with (
        running_openid(own_settings, utcnow) as openid,
        looking(browser, openid.site.url, "nobody") as page,
    ):
        url = openid.site.url
        await page.set_extra_http_headers({"Account": "bob"})  # whoever sits before it
        await page.goto(url)
        assert await objections(page) == []
        await page.get_by_role("link", name="Sign in with Beacon").click()
        await expect(page.locator(".who .user")).to_have_text("operator")
        assert page.url == f"{url}/admin/queues/"

        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading")).to_have_text("Sign out of the provider?")
        assert page.url.startswith(openid.provider.url)
        await page.get_by_role("button", name="Yes").click()
        await expect(page).to_have_title("Sign in · Lamplighter")
        await page.goto(f"{url}/admin/queues/jobs")
        await expect(page).to_have_title("Sign in · Lamplighter")
