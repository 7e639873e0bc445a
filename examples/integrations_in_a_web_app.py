"""Tenants connect their cloud accounts in an ASGI app: `uvicorn integrations_in_a_web_app:web`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from lamplighter import App
from lamplighter.demo.catalog import PROVIDERS
from lamplighter.demo.settle import registered
from lamplighter.demo.world import running_world
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.tenants import Tenant
from lamplighter.web import Caller, http_api

PUBLIC_URL = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")

app = App("sqlite:///cloud.db")
tokens = TokenFamily(app)


async def identify(request: Request) -> Caller | None:
    """Yours: look at a session or a token. This one believes every header."""
    user_id = request.headers.get("User")
    if user_id == "indexer":
        return Caller(user_id=user_id, tenants=frozenset({"acme"}), may_read_tokens=True)
    return Caller(user_id=user_id, tenants=frozenset({"acme"})) if user_id == "ada" else None


async def files(request: Request) -> JSONResponse:
    """In Python, no token is seen at all: the client puts it on, and renews it."""
    integration = await tokens.service.integrations.get(request.path_params["id"])
    assert integration is not None
    provider = await tokens.service.registrations.get(integration.provider_slug)
    async with tokens.service.access.http(integration.id) as drive:
        answer = await drive.get(provider.auth_url.replace("/authorize", "/drive/files"))
    return JSONResponse(answer.json())


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with running_world(faults=False) as world, app, app.worker():  # the world stands for real providers
        for provider in PROVIDERS:
            await tokens.service.registrations.register(registered(provider, world.url))
        await tokens.service.tenants.add([Tenant(id="acme", name="Acme", owner_id="ada")])
        yield


web = Starlette(
    routes=[
        Route("/files/{id}", files),
        Mount("/cloud", http_api(app, identify=identify, tokens=tokens, public_url=f"{PUBLIC_URL}/cloud")),
    ],
    lifespan=lifespan,
)
