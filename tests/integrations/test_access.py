"""Access tokens for the host application, and the HTTP client that carries them, at a provider that punishes reuse."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.counterparts.fault_proxy import Exchange, FaultProxy, answer
from tests.counterparts.fixtures import StartProxy
from tests.counterparts.oidc.oidc_server import LIFETIME, OidcServer
from tests.integrations.support import Home, Plans

from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.oauth import GrantRevoked, ProviderDown
from lamplighter.integrations.refreshing.access import ForeignHost
from lamplighter.integrations.refreshing.outcome import Gone
from lamplighter.integrations.service import Service, open_service
from lamplighter.integrations.tenants import Tenant

ASKER = Path(__file__).with_name("asker.py")
INTEGRATIONS, ROUNDS = 10, 100


class Client:
    """A host application with integrations at an OpenID provider, all it asks of which goes through a proxy."""

    def __init__(self, service: Service, oidc: OidcServer, proxy: FaultProxy) -> None:
        self.service = service
        self.oidc = oidc
        self.proxy = proxy

    async def connect(self, account: str = "ada", *, left: float = LIFETIME) -> str:
        """An integration whose token is good for so many seconds more, as far as we are told."""
        grant, now = await self.oidc.connect(account), utcnow()
        urls = {"token_url": self.proxy.url_for(f"{self.oidc.url}/token"), "health_url": f"{self.proxy.url}/me"}
        provider = self.oidc.provider(**urls, max_per_second=1000)
        await self.service.registrations.register(provider)
        await self.service.tenants.add([Tenant(id=account, name=account, owner_id="auth|1")])
        new = NewIntegration(
            tenant_id=account,
            provider_slug=provider.slug,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            issued_at=now + timedelta(seconds=left - LIFETIME),
            expires_at=now + timedelta(seconds=left),
        )
        return (await self.service.integrations.connect(new)).id

    async def refreshes(self) -> int:
        return sum(request.grant_type == "refresh_token" for request in await self.oidc.requests())


@pytest.fixture
async def client(home: Home, oidc: OidcServer, start_proxy: StartProxy) -> AsyncIterator[Client]:
    settings = Settings(store=home.url, folder=home.folder)
    async with open_service(settings, Plans()) as service:
        yield Client(service, oidc, await start_proxy(oidc.url))


async def test_a_token_that_lasts_is_given_without_asking_anybody(client: Client) -> None:
    connected = await client.connect()
    access = await client.service.access.get(connected)
    assert await client.oidc.is_honoured(access.access_token)
    assert await client.refreshes() == 0


@pytest.mark.parametrize("left", [-10, 3])
async def test_a_token_that_is_over_or_almost_is_refreshed_once_however_many_ask(client: Client, left: float) -> None:
    connected = await client.connect(left=left)
    given = await asyncio.gather(*(client.service.access.get(connected) for _ in range(50)))
    assert {access.token_version for access in given} == {2}
    assert await client.oidc.is_honoured(given[0].access_token)
    assert await client.refreshes() == 1


async def test_one_who_stops_waiting_leaves_the_others_their_token(client: Client) -> None:
    connected = await client.connect(left=-10)
    first = asyncio.create_task(client.service.access.get(connected))
    second = asyncio.create_task(client.service.access.get(connected))
    await client.proxy.arrived(1, "/token")
    first.cancel()
    assert (await second).token_version == 2
    assert await client.refreshes() == 1


async def test_in_an_outage_what_little_is_left_is_given(client: Client) -> None:
    connected = await client.connect(left=5)
    client.proxy.meet("/token", answer(503), count=None)
    access = await client.service.access.get(connected)
    assert await client.oidc.is_honoured(access.access_token)


async def test_in_an_outage_a_token_that_is_over_is_not_given(client: Client) -> None:
    connected = await client.connect(left=-1)
    client.proxy.meet("/token", answer(503), count=None)
    with pytest.raises(ProviderDown):
        await client.service.access.get(connected)


async def test_a_grant_that_was_withdrawn_is_said_so_and_recorded(client: Client) -> None:
    connected = await client.connect(left=-1)
    await client.oidc.revoke("ada")
    with pytest.raises(GrantRevoked, match="connect it again"):
        await client.service.access.get(connected)
    with pytest.raises(Gone, match="revoked"):
        await client.service.access.get(connected)
    assert await client.refreshes() == 1


async def test_a_client_puts_the_token_on_its_requests(client: Client) -> None:
    connected = await client.connect()
    async with client.service.access.http(connected) as http:
        me = await http.get(f"{client.proxy.url}/me")
    assert (me.status_code, me.json()["sub"]) == (200, "ada")


async def test_a_client_answers_one_401_with_a_refresh_and_asks_once_more(client: Client) -> None:
    connected = await client.connect()
    client.proxy.meet("/me", answer(401))
    async with client.service.access.http(connected) as http:
        me = await http.post(f"{client.proxy.url}/me", content=b"a body that is sent again")
    assert me.status_code == 200
    assert client.proxy.statuses("/me") == [401, 200]
    assert await client.refreshes() == 1


async def test_a_client_does_not_go_on_and_on_when_the_api_refuses(client: Client) -> None:
    connected = await client.connect()
    client.proxy.meet("/me", answer(401), count=None)
    async with client.service.access.http(connected) as http:
        assert (await http.get(f"{client.proxy.url}/me")).status_code == 401
    assert client.proxy.statuses("/me") == [401, 401]
    assert await client.refreshes() == 1


async def test_requests_that_are_refused_together_share_one_refresh(client: Client) -> None:
    connected = await client.connect()
    client.proxy.meet("/me", answer(401), count=10)
    async with client.service.access.http(connected) as http:
        found = await asyncio.gather(*(http.get(f"{client.proxy.url}/me") for _ in range(10)))
    assert {one.status_code for one in found} == {200}
    assert await client.refreshes() == 1


async def test_when_no_new_token_can_be_had_the_401_is_the_answer(client: Client) -> None:
    connected = await client.connect()
    client.proxy.meet("/me", answer(401), count=None)
    client.proxy.meet("/token", answer(503), count=None)
    async with client.service.access.http(connected) as http:
        assert (await http.get(f"{client.proxy.url}/me")).status_code == 401
    assert client.proxy.statuses("/me") == [401]


@pytest.mark.parametrize("url", ["https://evil.example/me", "http://evil.example/me", "http://127.0.0.1:1/me"])
async def test_a_token_is_sent_to_nobody_but_its_provider(client: Client, url: str) -> None:
    connected = await client.connect()
    async with client.service.access.http(connected) as http:
        with pytest.raises(ForeignHost, match="the token stays here"):
            await http.get(url)


async def test_a_token_does_not_follow_a_redirect_to_another_host(client: Client) -> None:
    connected, heads = await client.connect(), list[str]()
    async with _listening(heads) as elsewhere:

        async def redirect(exchange: Exchange) -> None:
            await exchange.send(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode())

        client.proxy.meet("/me", redirect)
        async with client.service.access.http(connected, follow_redirects=True) as http:
            await http.get(f"{client.proxy.url}/me")
    [head] = heads
    assert "authorization" not in head.lower()


async def test_two_processes_that_ask_at_the_same_instant_spend_no_token_twice(client: Client, home: Home) -> None:
    """A thousand instants: the provider revokes the whole family of a refresh token that comes back."""
    accounts = [f"user-{number}" for number in range(INTEGRATIONS)]
    versions = {await client.connect(account): 1 for account in accounts}
    async with _asker(home) as one, _asker(home) as other:
        for _ in range(ROUNDS):
            order = msgspec.json.encode(versions) + b"\n"
            to_one, to_other = await asyncio.gather(_ask(one, order), _ask(other, order))
            versions = {id_: version + 1 for id_, version in versions.items()}
            assert to_one == to_other == list(versions.values())
    assert await client.oidc.counts() == {account: {"ok": ROUNDS} for account in accounts}


@asynccontextmanager
async def _listening(log: list[str]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        log.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/me"


@asynccontextmanager
async def _asker(home: Home) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ASKER), str(home.folder), home.url, stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _ask(asker: Process, order: bytes) -> list[int]:
    assert asker.stdin is not None
    assert asker.stdout is not None
    asker.stdin.write(order)
    return msgspec.json.decode(await asker.stdout.readline(), type=list[int])
