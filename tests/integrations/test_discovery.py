"""A provider that describes itself, from its issuer's URL to a tenant that is connected, and gone again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.counterparts.oidc.oidc_server import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, OidcServer
from tests.integrations.support import Plans

from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.connecting.errors import ConnectDenied
from lamplighter.integrations.discovery import discover
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.tenants import Tenant


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"), Plans()) as opened:
        await opened.tenants.add([Tenant(id="t-1", name="Copper Bakery", owner_id="auth|1")])
        yield opened


async def register(service: Service, oidc: OidcServer) -> None:
    facts = await discover(service.http, oidc.url, slug="acme", display_name="Acme")
    await service.registrations.register(facts.with_client(CLIENT_ID, Secret(CLIENT_SECRET)))


async def test_a_certified_provider_says_all_that_is_needed(oidc: OidcServer, http: httpx2.AsyncClient) -> None:
    facts = await discover(http, oidc.url, slug="acme")
    assert facts.issuer == oidc.url
    assert facts.auth_url == f"{oidc.url}/auth?prompt=consent"
    assert facts.token_url == f"{oidc.url}/token"
    assert facts.revoke_url == f"{oidc.url}/token/revocation"
    assert facts.health_url == f"{oidc.url}/me"
    assert (facts.scopes, facts.client_auth) == (("openid", "offline_access"), "basic")


async def test_a_tenant_connects_to_it_is_healthy_and_disconnects(service: Service, oidc: OidcServer) -> None:
    await register(service, oidc)
    begun = await service.connections.begin("t-1", "acme", redirect_uri=REDIRECT_URI, user_id="auth|1")
    answer = await oidc.sign_in(begun.url.reveal(), "ada")
    assert answer["iss"] == oidc.url
    connected = await service.connections.finish(answer, browser=begun.browser)
    integration = connected.integration.id
    assert (await service.checker.check(integration)).seen.health == "healthy"
    refreshed = await service.refresher.refresh(integration, force=True)
    assert refreshed.outcome == "refreshed"
    access = await service.access.get(integration)
    assert await oidc.is_honoured(access.access_token)
    assert (await service.disconnecting.disconnect(integration)).not_revoked is None
    assert [(one.account, one.kind, one.outcome) for one in await oidc.revocations()] == [
        ("ada", "refresh_token", "ok")
    ]
    assert not await oidc.is_honoured(access.access_token)


async def test_a_person_may_say_no(service: Service, oidc: OidcServer) -> None:
    await register(service, oidc)
    begun = await service.connections.begin("t-1", "acme", redirect_uri=REDIRECT_URI, user_id="auth|1")
    answer = await oidc.sign_in(begun.url.reveal(), "ada", consents=False)
    with pytest.raises(ConnectDenied, match="Acme was not allowed"):
        await service.connections.finish(answer, browser=begun.browser)


@asynccontextmanager
async def telling(**changes: Any) -> AsyncIterator[str]:
    """An issuer that describes itself by way of RFC 8414 only, and as it is told."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        described = {
            "issuer": f"{url}/tenant",
            "authorization_endpoint": f"{url}/auth",
            "token_endpoint": f"{url}/token",
            "code_challenge_methods_supported": ["S256"],
        } | changes
        is_there = path == "/.well-known/oauth-authorization-server/tenant"
        body = json.dumps({key: value for key, value in described.items() if value is not None}).encode()
        writer.write(f"HTTP/1.1 {200 if is_there else 404} So\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield f"{url}/tenant"


async def test_rfc_8414_will_do_where_there_is_no_openid(http: httpx2.AsyncClient) -> None:
    async with telling() as issuer:
        facts = await discover(http, issuer, slug="acme")
    assert (facts.revoke_url, facts.health_url, facts.scopes) == (None, None, ())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"issuer": "https://somebody.example"}, "calls itself by another name"),
        ({"token_endpoint": None}, "names no token_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "cannot do PKCE with S256"),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}, "takes no client secret"),
        ({"token_endpoint": "http://evil.example/token"}, "token_url of provider acme must be an https"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_the_reason(
    http: httpx2.AsyncClient, changes: dict[str, Any], sentence: str
) -> None:
    async with telling(**changes) as issuer:
        with pytest.raises(ConfigError, match=sentence):
            await discover(http, issuer, slug="acme")


@pytest.mark.parametrize(
    ("issuer", "sentence"),
    [
        ("http://acme.example", "the issuer must be an https"),
        ("http://127.0.0.1:1", "cannot be reached"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_the_reason(
    http: httpx2.AsyncClient, issuer: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        await discover(http, issuer, slug="acme")
