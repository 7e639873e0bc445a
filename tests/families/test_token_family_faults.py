"""The token family when answers make no sense, and when its process is killed at the worst moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from tests.families.running import TENANT, Home, Running, running

from lamplighter.core.model import State, Where
from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import find_provider
from lamplighter.demo.client import connect, count_requests
from lamplighter.demo.settle import registered
from lamplighter.demo.world import running_world
from lamplighter.families.tokens import ATTEMPTS
from lamplighter.integrations.provider import Provider
from lamplighter.testing import FakeClock

ROOT = Path(__file__).parents[2]

WORKER = """
import asyncio, sys
from pathlib import Path
from lamplighter.app import App
from lamplighter.families.tokens import TokenFamily
from tests.families.running import Home

async def main():
    app = App(settings=Home(Path(sys.argv[1]), *sys.argv[2:]).settings(lease=2))
    TokenFamily(app)
    async with app, app.worker() as worker:
        print("working", flush=True)
        await worker.stopped()

asyncio.run(main())
"""


async def start_worker(home: Home, **environment: str) -> Process:
    """A worker in a process of its own."""
    path = os.pathsep.join(["src", str(ROOT), *sys.path])
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, *home.arguments, stdout=DEVNULL,
        cwd=ROOT, env=os.environ | {"PYTHONPATH": path} | environment,
    )  # fmt: skip


@pytest.fixture
async def nonsense() -> AsyncIterator[Provider]:
    """A provider whose token endpoint answers every request with a web page."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<html>Welcome</html>"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield registered(find_provider("lantern-drive"), url)


async def test_an_integration_is_expired_only_after_the_last_attempt(home: Home, nonsense: Provider) -> None:
    clock = FakeClock()
    async with running(home, clock=clock) as it:
        integration = await it.connect(nonsense, Secret("a"), Secret("r"))
        for attempt in range(1, ATTEMPTS + 1):
            assert (await it.see(integration)).status == "active"
            await it.app.work(until_idle=True)
            assert sum(event.kind in {"retried", "failed"} for event in it.events) == attempt
            clock.advance(timedelta(minutes=10))
        now = await it.see(integration)
        [job] = await it.app.store.page(Where(names=("tokens.refresh",)), limit=10)
        assert (now.status, job.state) == ("expired", State.FAILED)
        assert now.status_reason is not None
        assert "not_json" in now.status_reason
        assert [failure.error for failure in await it.app.store.failures(job.id)] == ["BadAnswer"] * ATTEMPTS


async def test_an_expired_integration_is_tried_again_later(home: Home, nonsense: Provider) -> None:
    clock = FakeClock()
    async with running(home, clock=clock) as it:
        integration = await it.connect(nonsense, Secret("a"), Secret("r"))
        await it.tokens.service.refresher.give_up(integration.id, "for a test")
        clock.advance(timedelta(hours=2))
        await it.tokens.reconcile.enqueue()
        await it.app.work(until_idle=True)
        assert any(event.kind == "retried" for event in it.events)


async def test_a_worker_killed_between_the_answer_and_the_database_loses_no_token(home: Home) -> None:
    async with running_world(faults=False) as world, httpx2.AsyncClient() as http:
        grant = await connect(http, world.url, "lantern-drive", "ada")
        provider = registered(find_provider("lantern-drive"), world.url)
        async with running(home) as before:
            integration = await before.connect(provider, Secret(grant.access_token), Secret(grant.refresh_token or ""))
            await before.tokens.plan([integration])

        worker = await start_worker(home, LAMP_FAULT="after-token-response")
        assert await asyncio.wait_for(worker.wait(), 60) == -signal.SIGKILL
        assert list(home.folder.glob("*.journal/*")), "the token is in the journal"

        async with running(home) as it:
            assert (await it.see(integration)).token_version == integration.token_version
            async with it.app.worker():
                await it.until("done", name="tokens.reconcile")
                recovered = await it.see(integration)
                assert recovered.token_version == integration.token_version + 1
                again = await it.tokens.service.refresher.refresh(integration.id, force=True)
                assert again.outcome == "refreshed"
        counts = await count_requests(http, world.url, "lantern-drive")
        assert counts.reuses == 0
        assert counts.outcomes == {"ok": 3}  # the code, the refresh that was killed, and the one after it


async def test_thousands_of_integrations_are_planned_once_each(home: Home, nonsense: Provider) -> None:
    async with running(home) as it:
        await add_many(it, nonsense, 3_000)
        await it.tokens.reconcile.enqueue(everything=True)
        async with it.app.worker(queues=["tokens"]):
            await it.until("done", name="tokens.reconcile")
        [stats] = [stats for stats in await it.app.store.stats() if stats.queue == "tokens"]
        assert stats.scheduled == 3_000


async def test_those_that_waited_for_a_provider_are_called_in_the_order_of_their_need(
    home: Home, nonsense: Provider
) -> None:
    clock = FakeClock()
    async with running(home, clock=clock) as it:
        lives = [50, 10, 40, 20, 30]
        waiting = [
            await it.connect(nonsense, Secret("a"), Secret("r"), life=life, tenant=f"{TENANT}-{life}") for life in lives
        ]
        await it.planned()
        clock.advance(timedelta(minutes=1))
        later = it.tokens.refresh.using(run_at=clock() + timedelta(hours=1), when_held="replace")
        await it.app.enqueue(later.draft(one.id) for one in waiting)

        await it.tokens.recovered(nonsense.slug)
        [release] = await it.app.store.page(Where(names=("tokens.release",)), limit=10)
        await it.tokens._release(cast(Any, Quiet()), nonsense.slug)
        called = sorted(await it.planned(), key=lambda job: job.run_at)
        needs = [next(life for life, one in zip(lives, waiting, strict=True) if one.id in job.args) for job in called]
        assert needs == sorted(lives)
        assert called[0].run_at == clock()
        steps = {later.run_at - earlier.run_at for earlier, later in pairwise(called)}
        assert min(steps) >= timedelta(seconds=1) / nonsense.max_per_second
        assert max(steps) < timedelta(seconds=1)
        assert release.state == State.QUEUED


class Quiet:
    """A context that nobody looks at."""

    def progress(self, done: float, *, note: str) -> None:
        pass


async def add_many(it: Running, provider: Provider, count: int) -> None:
    """Integrations of as many tenants, none of them due for an hour."""
    from lamplighter.core.clock import utcnow
    from lamplighter.integrations.integration import NewIntegration
    from lamplighter.integrations.tenants import Tenant

    service = it.tokens.service
    await service.registrations.register(provider)
    await service.tenants.add([Tenant(id=f"{TENANT}-{n}", name="Bakery", owner_id="auth|1") for n in range(count)])
    await service.integrations.add_many(
        NewIntegration(
            tenant_id=f"{TENANT}-{n}",
            provider_slug=provider.slug,
            access_token=Secret("a"),
            refresh_token=Secret("r"),
            expires_at=utcnow() + timedelta(hours=2),
        )
        for n in range(count)
    )
