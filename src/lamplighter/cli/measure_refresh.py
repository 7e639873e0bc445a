"""What `lamplighter bench refresh` measures: refreshes by the token family, and the same requests by its HTTP client
alone, by turns."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from sqlalchemy import func, select

from lamplighter.app import App
from lamplighter.cli.bench_endpoint import ACCESS, REFRESH, end_of_message
from lamplighter.cli.measure import Step, drain
from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.errors import LamplighterError
from lamplighter.core.ids import new_id
from lamplighter.core.secret import Secret
from lamplighter.families.tokens import QUEUE, TokenFamily
from lamplighter.integrations.answer import HEADERS
from lamplighter.integrations.http_pool import HttpPool
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.integrations import Due
from lamplighter.integrations.provider import MOST_AT_ONCE, Provider
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.tenants import Tenant
from lamplighter.integrations.vault import new_key

SLUG = "lamplighter-bench"
LATE = timedelta(seconds=1)  # so long ago the tokens ended: they are due, but not yet overdue to the reconciler

_access_token, _refresh_token = Secret("a" * ACCESS), Secret("r" * REFRESH)


class Family(NamedTuple):
    """An app with the token family, at a provider that lets everything through."""

    app: App[None]
    tokens: TokenFamily
    provider: Provider

    @property
    def form(self) -> dict[str, str]:
        """What `TokenClient` sends for any of its integrations."""
        return {
            "grant_type": "refresh_token",
            "refresh_token": _refresh_token.reveal(),
            "client_id": self.provider.client_id,
            "client_secret": self.provider.client_secret.reveal(),
        }


@asynccontextmanager
async def bench_family(store: str, folder: Path, token_url: str) -> AsyncIterator[Family]:
    """The family on a store of its own, with the settings that are the default; its journal lies in `folder`."""
    app = App(settings=Settings(store=store, folder=folder, encryption_keys=Secret(new_key())))
    tokens = TokenFamily(app)
    provider = Provider(
        slug=SLUG,
        display_name="Bench",
        auth_url=token_url,
        token_url=token_url,
        rotates=True,
        max_concurrency=MOST_AT_ONCE,
        max_per_second=MOST_AT_ONCE,
        client_id="bench",
        client_secret=Secret("s" * 40),
    )
    async with app:
        await tokens.service.registrations.register(provider)
        yield Family(app, tokens, provider)


async def whole(family: Family, refreshes: int, concurrency: int, step: Step) -> float:
    """Refreshes a second, from the claim of the first job until the last is durably done, by one worker process.

    Raises:
        LamplighterError: not all of them were refreshed.
    """
    ids = await _become_due(family, refreshes)
    name = family.tokens.refresh.name
    speed = await drain(family.app, refreshes, concurrency, step, queue=QUEUE, name=name)
    await _check(family, ids)
    return speed


async def bare(http: HttpPool, family: Family, requests: int, concurrency: int, step: Step) -> float:
    """The same requests a second by the HTTP client alone, so many at once."""
    waiting = iter(range(requests))
    form, url = family.form, family.provider.token_url

    async def ask() -> None:
        for number in waiting:
            async with http.stream("POST", url, data=form, headers=HEADERS) as response:
                await response.aread()
            if number % 100 == 0:
                step(number)

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return requests / (time.perf_counter() - started)


async def most_answers(family: Family, requests: int, concurrency: int, step: Step) -> float:
    """The same requests a second over plain sockets: so many the token endpoint bears at least."""
    waiting = iter(range(requests))
    parts = urlsplit(family.provider.token_url)
    body = urlencode(family.form).encode()
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for number in waiting:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            while end_of_message(answer) is None:
                answer += await reader.read(65536)
            if number % 100 == 0:
                step(number)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(concurrency)))
    return requests / (time.perf_counter() - started)


@asynccontextmanager
async def endpoint() -> AsyncIterator[str]:
    """The URL of a token endpoint in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lamplighter.cli.bench_endpoint", stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        port = (await process.stdout.readline()).decode().strip()
        yield f"http://127.0.0.1:{port}/token"
    finally:
        process.terminate()
        await process.wait()


async def _become_due(family: Family, number: int) -> list[str]:
    """So many new integrations whose tokens are over, each with its job."""
    now = utcnow()
    ids = [new_id(to_us(now)) for _ in range(number)]
    service = family.tokens.service
    await service.tenants.add([Tenant(id=one, name=one, owner_id=one) for one in ids])
    await service.integrations.add_many(
        NewIntegration(
            id=one,
            tenant_id=one,
            provider_slug=SLUG,
            access_token=_access_token,
            refresh_token=_refresh_token,
            issued_at=now - LATE,
            expires_at=now - LATE,
        )
        for one in ids
    )
    await family.tokens.plan(Due(one, one, SLUG, now - LATE) for one in ids)
    return ids


async def _check(family: Family, ids: list[str]) -> None:
    """Each got the tokens of one answer: `token_version` counts them, from 1."""
    row = integrations.c
    statement = select(func.count()).where(row.id >= ids[0], row.id <= ids[-1], row.token_version == 2)
    refreshed = await family.tokens.service.database.read(lambda connection: connection.scalar(statement))
    if refreshed != len(ids):
        raise LamplighterError(
            f"only {refreshed} of {len(ids)} tokens were refreshed once: see the log, and measure again."
        )
