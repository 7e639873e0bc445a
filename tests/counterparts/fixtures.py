"""Servers that none of us wrote, each in a process of its own and new for every test; what they share, and proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from tests.counterparts import drives, oauth2_server
from tests.counterparts.drives import GoogleDrive, OneDrive
from tests.counterparts.fault_proxy import FaultProxy, running_proxy
from tests.counterparts.npm import install_once
from tests.counterparts.oauth2_server import OAuth2Server
from tests.counterparts.oidc.oidc_server import OidcServer, running_server
from tests.counterparts.process import running

StartProxy = Callable[[str], Awaitable[FaultProxy]]


@pytest.fixture(scope="session")
def node_modules() -> None:
    """What the servers need. Ask for it yourself if you start one of them without its fixture."""
    install_once()


@pytest.fixture
async def oidc(node_modules: None) -> AsyncIterator[OidcServer]:
    """A certified provider that nobody has connected to yet: `await oidc.connect("ada")` gives tokens.

    `await oidc.sign_in(authorize_url, "ada")` does what a browser and a person do at a URL that your code made, and
    returns the query of the redirect to `REDIRECT_URI`; for another redirect URI or token life use `running_server`.
    """
    async with running_server() as server:
        yield server


@pytest.fixture
async def oauth2(node_modules: None) -> AsyncIterator[OAuth2Server]:
    """A token endpoint that says yes, or what `oauth2.refuse_next(401, {"error": "invalid_client"})` tells it."""
    async with running(OAuth2Server, oauth2_server.SCRIPT) as server:
        yield server


@pytest.fixture
async def google_drive(node_modules: None) -> AsyncIterator[GoogleDrive]:
    """An empty drive: send `Bearer valid-token` to `google_drive.health_url`, or `url + "/drive/v3/…"`."""
    async with running(GoogleDrive, drives.GOOGLE_DRIVE) as server:
        yield server


@pytest.fixture
async def onedrive(node_modules: None) -> AsyncIterator[OneDrive]:
    """An empty drive: send `Bearer valid-token` to `onedrive.health_url`, or `url + "/v1.0/me/drive/…"`."""
    async with running(OneDrive, drives.ONEDRIVE) as server:
        yield server


@pytest.fixture
async def start_proxy() -> AsyncIterator[StartProxy]:
    """Puts a proxy before a server: `proxy = await start_proxy(google_drive.url)`, and then

        proxy.meet("/drive/v3/about", answer(429, retry_after=2))
        await client.get(proxy.url_for(google_drive.health_url))

    What there is to meet: `answer`, `slow`, `hold`, `half`, `lose`, `hang_up`, `silence`, `forward`.
    """
    async with AsyncExitStack() as stack:

        async def start(url: str) -> FaultProxy:
            return await stack.enter_async_context(running_proxy(url))

        yield start
