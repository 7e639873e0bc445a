"""A site on which people sign in at an OpenID provider."""

from __future__ import annotations

import html
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
import msgspec
from tests.counterparts.oidc.oidc_server import CLIENT_ID, CLIENT_SECRET, OidcServer, running_server
from tests.web.own_site import LOGIN, OwnSite, running_own_site

from lamplighter.app import App
from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret

BEGIN, CALLBACK = f"{LOGIN}/oidc", f"{LOGIN}/oidc/callback"
COOKIE, SIGN_OUT_COOKIE = "lamplighter-oidc", "lamplighter-sign-out"
GROUPS = {"ada": ["staff", "lamp admins"], "bob": ["staff", "operators"], "eve": ["staff"], "owner": ["owners"]}


class OpenId(NamedTuple):
    """The site, and the provider beside it."""

    site: OwnSite
    provider: OidcServer

    async def answer(
        self, browser: httpx2.AsyncClient, account: str = "ada", *, consents: bool = True
    ) -> dict[str, str]:
        """Go to the provider and sign in there; what it sends back by way of the browser."""
        sent = await browser.get(BEGIN)
        assert sent.status_code == 303, sent.text
        return await self.provider.sign_in(sent.headers["Location"], account, consents=consents)

    async def sign_in(self, browser: httpx2.AsyncClient, account: str = "ada") -> httpx2.Response:
        """All of the way."""
        return await browser.get(CALLBACK, params=await self.answer(browser, account))


def settings_for(issuer: str, base: Settings, **changes: Any) -> Settings:
    """Of a client of that provider, which lets in its groups."""
    told: dict[str, Any] = {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": Secret(CLIENT_SECRET),
        "oidc_name": "Beacon",
        "oidc_role_claim": "groups",
        "oidc_superadmins": ("lamp admins",),
        "oidc_operators": ("operators",),
        "oidc_tenants": ("owners",),
        "oidc_tenants_claim": "groups",
    }
    return msgspec.structs.replace(base, **told | changes)


@asynccontextmanager
async def running_openid(
    base: Settings, clock: Clock, *, groups: Mapping[str, list[str]] = GROUPS, **changes: Any
) -> AsyncIterator[OpenId]:
    """Both, for as long as the block lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with running_server(
        redirect_uris=[f"{url}{CALLBACK}"], signed_out_uris=[f"{url}{LOGIN}"], groups=groups
    ) as provider:
        app = App[None](settings=settings_for(provider.url, base, **changes), clock=clock)
        async with running_own_site(app, listener) as site:
            yield OpenId(site, provider)


def told(page: httpx2.Response) -> str:
    """What the login page says."""
    [sentence] = re.findall(r'<p class="notice" role="alert">([^<]+)</p>', page.text)
    return html.unescape(sentence)
