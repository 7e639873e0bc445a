"""What `lamplighter web` serves, on a port of the test's own, and browsers before it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from tests.web.site import served

from lamplighter.app import App
from lamplighter.core.clock import utcnow
from lamplighter.core.secret import Secret
from lamplighter.testing import FakeClock
from lamplighter.web.roles import Role
from lamplighter.web.signin.keys import Keys
from lamplighter.web.signin.password import AdminPassword
from lamplighter.web.site import PAGES, open_site

PASSWORD = "four words that are random"
LOGIN = f"{PAGES}/login"
LOGOUT = f"{PAGES}/logout"
STATS = "/api/v1/queues/stats"


class OwnSite:
    """An open app that is served."""

    def __init__(self, url: str, app: App[Any], link: str) -> None:
        self.url = url
        self.app = app
        self.link = link
        self.keys = Keys(app.store, clock=app.clock)
        self.password = AdminPassword(app.store, clock=app.clock)

    @asynccontextmanager
    async def browser(self, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
        """One with its own cookies."""
        async with httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as client:
            yield client

    async def set_password(self) -> None:
        """As `lamplighter admin set-password`."""
        await self.password.set(Secret(PASSWORD))

    async def key(self, role: Role, **how: Any) -> dict[str, str]:
        """Headers with a new key of that role."""
        made = await self.keys.make("test", role, **how)
        return {"Authorization": f"Bearer {made.text.reveal()}"}


@asynccontextmanager
async def running_own_site(app: App[Any], listener: socket.socket | None = None) -> AsyncIterator[OwnSite]:
    """The app's site, on loopback, for as long as the block lasts."""
    with listener or socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        async with app, open_site(app, host="127.0.0.1", port=port) as site:
            assert site.login_link is not None
            async with served(site.asgi, ours):
                yield OwnSite(f"http://127.0.0.1:{port}", app, site.login_link.reveal())


async def log_in(browser: httpx2.AsyncClient, password: str = PASSWORD) -> httpx2.Response:
    """Send the form."""
    return await browser.post(LOGIN, data={"password": password})


def clock_of_now() -> FakeClock:
    """One that stands still from now on: cookies end by the browser's clock, which is the real one."""
    return FakeClock(utcnow())
