"""The token family while its workers are killed, again and again."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import httpx2
import pytest
from tests.families.running import in_file, running
from tests.families.test_token_family_faults import start_worker

from lamplighter.demo.catalog import PROVIDERS
from lamplighter.demo.client import count_requests
from lamplighter.demo.requests import Requests
from lamplighter.demo.settle import settle
from lamplighter.demo.watch import Watch
from lamplighter.demo.world import World, running_world
from lamplighter.integrations.service import Service

WORKERS = 3
KILLS = 12
LIFETIME = 60  # seconds: a refresh is due halfway, and twelve kills in a row must be over well before the end


@pytest.mark.timeout(300)
async def test_however_often_workers_are_killed_no_token_is_spent_twice_and_none_lapses(
    tmp_path: Path, http: httpx2.AsyncClient
) -> None:
    home, dice, watch = in_file(tmp_path), random.Random(7), Watch()
    async with running_world(faults=False, token_lifetime=LIFETIME) as world, running(home) as it:
        await it.tokens.plan(await settle(it.tokens.service, world.url))
        workers = [await start_worker(home) for _ in range(WORKERS)]
        try:
            asked = await requests(http, world)
            for _ in range(KILLS):
                asked = await until_more(http, world, asked)  # a worker that asks is one that can be caught at it
                watch.look(await it.tokens.service.integrations.page(limit=100))
                victim = dice.randrange(WORKERS)
                workers[victim].kill()
                await workers[victim].wait()
                workers[victim] = await start_worker(home)
            await until_refreshed(it.tokens.service, watch)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                await worker.wait()
        await it.tokens.service.refresher.recover()
        integrations = await it.tokens.service.integrations.page(limit=100)
        watch.look(integrations)
        summary = watch.summary()
        reuses = [(await of(http, world, provider.slug)).reuses for provider in PROVIDERS]
    assert (summary.lapsed, summary.failed, summary.revoked) == (0, 0, 0)
    assert summary.refreshed >= KILLS
    assert reuses == [0] * len(PROVIDERS)


async def of(http: httpx2.AsyncClient, world: World, provider: str) -> Requests:
    return await count_requests(http, world.url, provider)


async def requests(http: httpx2.AsyncClient, world: World) -> int:
    """How many token requests all providers have had."""
    return sum([(await of(http, world, provider.slug)).token_requests for provider in PROVIDERS])


async def until_more(http: httpx2.AsyncClient, world: World, than: int) -> int:
    async with asyncio.timeout(60):
        while (count := await requests(http, world)) <= than:  # noqa: ASYNC110 - the count is another process's
            await asyncio.sleep(0.01)
    return count


async def until_refreshed(service: Service, watch: Watch) -> None:
    """What a kill cut short is done by another worker, when the lease of the first has run out."""
    async with asyncio.timeout(LIFETIME):
        while watch.summary().refreshed < KILLS:
            watch.look(await service.integrations.page(limit=100))
            await asyncio.sleep(0.01)
