"""What tests of the refresher share: a database with tables, a planner that remembers, an endpoint that obeys."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs

import httpx2
import psycopg
from sqlalchemy import Connection, select

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.errors import TransactionUnsupported
from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import find_provider
from lamplighter.demo.client import connect
from lamplighter.integrations.integration import Integration, NewIntegration
from lamplighter.integrations.integrations import Integrations
from lamplighter.integrations.oauth import TokenClient
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.journal import Journal
from lamplighter.integrations.refreshing.outcome import Refreshed
from lamplighter.integrations.refreshing.refresher import Refresher
from lamplighter.integrations.registrations import Registrations
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.tenants import Tenant, Tenants
from lamplighter.integrations.vault import Vault, new_key

KEY = new_key()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = "copper-bakery"
LIMITS = httpx2.Limits(max_connections=200)


class Home(NamedTuple):
    """A folder for keys and journals, and the database of the tables."""

    folder: Path
    url: str

    @property
    def impatient(self) -> Home:
        """The same, waited for as shortly as makes sense: with a server, patience is for every answer."""
        option = "&patience=1" if "?" in self.url else "?patience=0"
        return self._replace(url=self.url + option)

    @contextmanager
    def unwritable(self) -> Iterator[None]:
        """Another process is in the midst of a transaction that all writers of integrations have to wait for."""
        if self.url.startswith("sqlite"):
            path = self.url.removeprefix("sqlite:///").partition("?")[0]
            with closing(sqlite3.connect(path, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                yield
            return
        address, _, schema = self.url.partition("?schema=")
        with psycopg.connect(address) as holder:
            holder.execute(f"LOCK TABLE {schema.partition('&')[0]}.lamp_integrations IN EXCLUSIVE MODE")
            yield
            holder.rollback()


class Timer:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Plans:
    """A planner that remembers. `refuses` stands for jobs that are kept in another database."""

    def __init__(self) -> None:
        self.inside: list[tuple[str, datetime]] = []
        self.outside: list[tuple[str, datetime]] = []
        self.refuses: Exception | None = None
        self.settled = 0
        self.back: list[str] = []

    def within(self, connection: Connection, plans: Sequence[tuple[str, datetime]]) -> None:
        assert connection.in_transaction()
        if self.refuses:
            raise self.refuses
        self.inside += plans

    async def after(self, integration_id: str, at: datetime) -> None:
        self.outside.append((integration_id, at))

    async def settle(self) -> None:
        self.settled += 1

    async def recovered(self, provider_slug: str) -> None:
        self.back.append(provider_slug)


ELSEWHERE = TransactionUnsupported("the jobs are elsewhere.")


class Service(NamedTuple):
    """One process's view: its own database handle, journal file and refresher."""

    database: Database
    vault: Vault
    integrations: Integrations
    registrations: Registrations
    journal: Journal
    refresher: Refresher
    plans: Plans
    http: httpx2.AsyncClient

    async def connect(self, provider: Provider, access: str, refresh: str | None, *, life: float = 3600) -> Integration:
        """An integration with these tokens; its life ends that many seconds from now."""
        now = self.integrations._clock()
        return await self.integrations.connect(
            NewIntegration(
                tenant_id=TENANT,
                provider_slug=provider.slug,
                access_token=Secret(access),
                refresh_token=Secret(refresh) if refresh else None,
                expires_at=now + timedelta(seconds=life),
            )
        )

    async def consent(self, world_url: str, slug: str, user: str = "ada", *, life: float = -1) -> Integration:
        """Register a provider of the demo world, give a user's consent and connect it: due at once."""
        provider = demo_provider(world_url, slug)
        await self.registrations.register(provider)
        grant = await connect(self.http, world_url, slug, user)
        return await self.connect(provider, grant.access_token, grant.refresh_token, life=life)

    async def begin_refresh(self, endpoint: Endpoint) -> tuple[Integration, asyncio.Task[Refreshed]]:
        """A refresh that has been asked for, and is answered once the endpoint may: by then anything can happen."""
        provider = endpoint.provider()
        await self.registrations.register(provider)
        connected = await self.connect(provider, "a", "r", life=-1)
        endpoint.may_answer.clear()
        refresh = asyncio.create_task(self.refresher.refresh(connected.id))
        await endpoint.asked.wait()
        return connected, refresh

    async def get(self, integration_id: str) -> Integration:
        found = await self.integrations.get(integration_id)
        assert found is not None
        return found

    async def tokens(self, integration_id: str) -> tuple[str, str]:
        """What is stored, decrypted."""
        columns = select(integrations.c.access_token, integrations.c.refresh_token)
        statement = columns.where(integrations.c.id == integration_id)
        row = await self.database.read(lambda connection: connection.execute(statement).one())
        access, refresh = (
            self.vault.decrypt(stored, f"integration/{integration_id}/{field}")
            for stored, field in zip(row, ("access_token", "refresh_token"), strict=True)
        )
        return access, refresh


@asynccontextmanager
async def service(
    home: Home, *, clock: Clock = utcnow, timeout: float = 10, patience: float = 15
) -> AsyncIterator[Service]:
    """A service there; several may be open at once, as if they were processes."""
    vault, plans = Vault.from_text(KEY), Plans()
    async with Database(home.url) as database, httpx2.AsyncClient(limits=LIMITS) as http:
        await upgrade(database)
        await Tenants(database, clock=clock).add([Tenant(id=TENANT, name="Copper Bakery", owner_id="auth|1")])
        with Journal(home.folder / "journal", vault) as journal:
            client = TokenClient(http, timeout=timeout)
            async with Refresher(
                database, vault, journal, client, plans, clock=clock, random=lambda: 0.5, patience=patience
            ) as refresher:
                yield Service(
                    database,
                    vault,
                    Integrations(database, vault, clock=clock),
                    Registrations(database, vault, clock=clock),
                    journal,
                    refresher,
                    plans,
                    http,
                )


def demo_provider(world_url: str, slug: str) -> Provider:
    """A provider of the demo world, as we are registered there."""
    demo = find_provider(slug)
    return Provider(
        slug=slug,
        display_name=demo.display_name,
        auth_url=f"{world_url}/{slug}/authorize",
        token_url=f"{world_url}/{slug}/token",
        client_auth=demo.client_auth,
        rotates=demo.rotates,
        max_per_second=1000,
        client_id=demo.client_id,
        client_secret=Secret(demo.client_secret),
    )


Reply = Callable[[], "bytes | dict[str, object] | None"]  # None: hang up without a word


class Endpoint:
    """A token endpoint that answers what `reply` says, and counts. `asked` is set once a request has come."""

    def __init__(self) -> None:
        self.reply: Reply = lambda: {"access_token": "new-access", "refresh_token": "new-refresh"}
        self.status = 200
        self.tokens: list[str] = []
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    def provider(self) -> Provider:
        return Provider(
            slug="lantern",
            display_name="Lantern",
            auth_url=f"{self.url}/authorize",
            token_url=f"{self.url}/token",
            max_per_second=1000,
            client_id="client",
            client_secret=Secret("client-secret"),
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            form = parse_qs((await reader.readexactly(length)).decode())
            self.tokens.append(form["refresh_token"][0])
            self.asked.set()
            await self.may_answer.wait()
            reply = self.reply()
            if reply is not None:
                body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                head = f"HTTP/1.1 {self.status} So\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that hung up
        finally:
            writer.close()


@asynccontextmanager
async def running_endpoint() -> AsyncIterator[Endpoint]:
    """An endpoint on a free port."""
    endpoint = Endpoint()
    async with await asyncio.start_server(endpoint.serve, "127.0.0.1", 0) as server:
        endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield endpoint
