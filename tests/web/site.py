"""A host's site with the API mounted, served by uvicorn, and browsers and services before it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import uvicorn
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp
from tests.families.running import TENANT, Home, Running, running

from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import find_provider
from lamplighter.demo.client import connect
from lamplighter.demo.settle import registered
from lamplighter.integrations.audit import Record
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.tenants import Tenant
from lamplighter.web import Caller, Role, http_api

AT = "/cloud"  # where the host mounted it
API = f"{AT}/api/v1"
LANTERN = "lantern-drive"
OTHER = "tidewater-clinic"


CALLERS = {
    "owner": Caller(user_id="auth|1", tenants=frozenset({TENANT})),
    "stranger": Caller(user_id="auth|2", tenants=frozenset({OTHER})),
    "superadmin": Caller(user_id="auth|3", role=Role.SUPERADMIN),
    "operator": Caller(user_id="auth|5", role=Role.OPERATOR),
    "viewer": Caller(user_id="auth|6", role=Role.VIEWER),
    "service": Caller(user_id="indexer", tenants=frozenset({TENANT}), may_read_tokens=True),
    "agent": Caller(user_id="auth|7", tenants=frozenset({TENANT, OTHER})),
    "nosy": Caller(user_id="auth|4", may_read_tokens=True),
}


async def identify(request: Request) -> Caller | None:
    """As in no host: a caller is who it says it is."""
    return CALLERS.get(request.headers.get("Caller", ""))


class Server(uvicorn.Server):
    """Says when it is up, and leaves signals to pytest."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Site:
    """An open app, its API on a port, and who calls."""

    def __init__(self, url: str, api: FastAPI, inside: Running) -> None:
        self.url = url
        self.api = api
        self.inside = inside
        self.service = inside.tokens.service

    @property
    def callback_url(self) -> str:
        return f"{self.url}{API}/oauth/callback"

    @asynccontextmanager
    async def calling(self, who: str | None) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of the API: a browser with its own cookies, or a service."""
        headers = {} if who is None else {"Caller": who}
        async with httpx2.AsyncClient(base_url=self.url + API, headers=headers, timeout=30, trust_env=False) as client:
            yield client

    async def ask(self, who: str | None, method: str, path: str, json: object = None) -> httpx2.Response:
        """One call."""
        async with self.calling(who) as client:
            return await client.request(method, path, json=json)

    async def glance(self, who: str | None, method: str, path: str, json: object = None) -> httpx2.Response:
        """One call, whose answer is not read where it does not end."""
        async with self.calling(who) as client, client.stream(method, path, json=json) as answer:
            if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                await answer.aread()
            return answer

    async def connect(self, world_url: str, slug: str = LANTERN, *, tenant: str = TENANT) -> Integration:
        """An integration with tokens that are good for a while."""
        async with httpx2.AsyncClient() as http:
            grant = await connect(http, world_url, slug, "ada")
        provider, refresh_token = registered(find_provider(slug), world_url), grant.refresh_token
        assert refresh_token is not None
        return await self.inside.connect(
            provider, Secret(grant.access_token), Secret(refresh_token), life=3600, tenant=tenant
        )

    async def tokens(self, integration: Integration) -> str:
        """The access token that is stored."""
        access = await self.service.integrations.access(integration.id)
        assert access is not None
        return access.access_token.reveal()

    async def records(self, action: str) -> list[Record]:
        """What the audit log has of that, the oldest first."""
        return [one for one in reversed(await self.service.audit.page(limit=500)) if one.action == action]


@asynccontextmanager
async def running_site(home: Home, *, public_url: str | None = None) -> AsyncIterator[Site]:
    """A site for as long as the block lasts. `public_url`: what it believes, if that is not where it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with running(home) as inside:
            api = http_api(inside.app, identify=identify, tokens=inside.tokens, public_url=public_url or url + AT)
            await inside.tokens.service.tenants.add(
                [Tenant(id=one, name=one, owner_id="auth|1") for one in (TENANT, OTHER)]
            )
            async with served(Starlette(routes=[Mount(AT, api)]), listener):
                yield Site(url, api, inside)


@asynccontextmanager
async def served(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """The app on that socket, for as long as the block lasts."""
    server = Server(app)
    task = asyncio.create_task(server.serve([listener]))
    up = asyncio.create_task(server.is_up.wait())
    try:
        await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
        assert up.done(), "the server did not start"
        yield
    finally:
        up.cancel()
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


def query_of(url: str) -> dict[str, str]:
    """What is asked with it."""
    return dict(parse_qsl(urlsplit(url).query))


async def consent(url: str, user: str | None = "ada") -> dict[str, str]:
    """What the demo world sends back by way of a browser; None says no."""
    async with httpx2.AsyncClient() as http:
        answer = await http.get(url, params=query_of(url) | ({} if user is None else {"login_hint": user}))
    return query_of(answer.headers["Location"])


def told(answer: httpx2.Response) -> tuple[int, Any]:
    """The status, and the code of an error or the data."""
    body: Mapping[str, Any] = answer.json()
    if answer.is_success:
        assert body["success"] is True
        return answer.status_code, body["data"]
    assert body.keys() == {"success", "error"}
    assert body["success"] is False
    return answer.status_code, body["error"]["code"]
