"""Connecting as people do it: in a browser, by the pages of a provider of the demo."""

from __future__ import annotations

from playwright.async_api import Browser, expect
from tests.web.axe import objections
from tests.web.browser import looking
from tests.web.own_site import PASSWORD, running_own_site

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.demo.client import cause
from lamplighter.demo.faults import Revocation
from lamplighter.demo.settle import registered
from lamplighter.demo.world import PROVIDERS, World
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.tenants import Tenant


async def test_a_tenant_is_connected_checked_revoked_and_connected_again(
    own_settings: Settings, world: World, browser: Browser
) -> None:
    app = App(settings=own_settings)
    tokens = TokenFamily(app)
    async with running_own_site(app) as own, app.worker(), looking(browser, own.url, "nobody") as page:
        for provider in PROVIDERS:
            await tokens.service.registrations.register(registered(provider, world.url))
        await tokens.service.tenants.add([Tenant(id="acme", name="Acme", owner_id="auth|1")])
        await own.set_password()

        await page.goto(own.url)
        await page.get_by_label("Password of the admin").fill(PASSWORD)
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Integrations").click()
        await page.get_by_role("link", name="Connect…").click()
        assert await objections(page) == []
        await page.get_by_label("Tenant").fill("acme")
        await page.get_by_label("Provider").select_option("Harbor Files")
        await page.get_by_role("button", name="Connect").click()

        await expect(page.get_by_role("heading")).to_have_text("Harbor Files")  # the provider's own page
        assert page.url.startswith(world.url)
        await page.get_by_label("User").fill("grace")
        await page.get_by_role("button", name="Allow").click()

        await expect(page.get_by_role("status")).to_contain_text("Connected: ")
        await page.get_by_role("link", name="harbor-files").first.click()
        await page.get_by_role("button", name="Check now").click()
        await expect(page.locator(".facts .state.healthy")).to_be_visible()

        async with own.browser() as http:
            await cause(http, world.url, Revocation(provider="harbor-files", user="grace"))
        await page.get_by_role("button", name="Refresh now").click()
        await page.goto(page.url.removesuffix("/refresh"))
        await expect(page.locator(".headline .state")).to_have_text("revoked")
        await page.get_by_role("button", name="Connect again").click()
        await page.get_by_role("link", name="No").click()
        await expect(page.get_by_role("alert")).to_contain_text("somebody said no")
        await page.get_by_role("button", name="Connect again").click()
        await page.get_by_label("User").fill("grace")
        await page.get_by_role("button", name="Allow").click()
        await expect(page.locator(".headline .state")).to_have_text("active")
