"""The token family against the demo world: real tokens, over real connections, in real stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.families.conftest import HOMES
from tests.families.running import Home, Running, running

from lamplighter.core.model import State, Where
from lamplighter.core.secret import Secret
from lamplighter.demo.catalog import find_provider
from lamplighter.demo.client import cause, connect, count_requests
from lamplighter.demo.faults import Outage, Revocation
from lamplighter.demo.settle import registered
from lamplighter.demo.world import World, running_world
from lamplighter.integrations.integration import Integration

LANTERN = "lantern-drive"


@pytest.fixture
async def it(home: Home) -> AsyncIterator[Running]:
    async with running(home) as opened:
        yield opened


async def consent(
    it: Running, http: httpx2.AsyncClient, world: World, slug: str = LANTERN, user: str = "ada", *, life: float = -1
) -> Integration:
    """Connect a user's account for real; as far as we are told, its token ends in so many seconds."""
    grant = await connect(http, world.url, slug, user)
    refresh = Secret(grant.refresh_token) if grant.refresh_token else None
    provider = registered(find_provider(slug), world.url)
    return await it.connect(provider, Secret(grant.access_token), refresh, life=life)


async def test_a_token_is_refreshed_and_its_next_refresh_planned_for_its_time(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    integration = await consent(it, http, world)
    async with it.app.worker():
        await it.until("done")
    now = await it.see(integration)
    assert (now.status, now.token_version) == ("active", integration.token_version + 1)
    [planned] = await it.planned()
    assert (planned.state, planned.run_at) == (State.SCHEDULED, now.refresh_at)
    assert planned.unique is not None
    assert planned.unique.key == f"tokens.refresh:{integration.id}"


async def test_refreshes_go_on_by_themselves(it: Running, http: httpx2.AsyncClient) -> None:
    async with running_world(faults=False, token_lifetime=2) as world:
        await consent(it, http, world)
        async with it.app.worker():
            await it.until("done", 4)
        counts = await count_requests(http, world.url, LANTERN)
    assert counts.outcomes == {"ok": counts.token_requests}
    assert counts.reuses == 0
    assert len(await it.planned()) == 1


async def test_what_was_forgotten_is_found_when_it_is_overdue(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    forgotten = await consent(it, http, world, life=-60)
    fresh = await consent(it, http, world, "harbor-files", life=3600)
    await it.forget_plans()
    await it.tokens.reconcile.enqueue()
    async with it.app.worker():
        await it.until("done")
    assert (await it.see(forgotten)).token_version == forgotten.token_version + 1
    assert (await it.see(fresh)).token_version == fresh.token_version


async def test_a_start_plans_everything_once(home: Home, http: httpx2.AsyncClient, world: World) -> None:
    async with running(home) as before:
        integration = await consent(before, http, world, life=3600)
        await before.forget_plans()
    for _ in range(2):
        async with running(home) as it, it.app.worker():
            await it.until("done", name="tokens.reconcile")
            [planned] = await it.planned()
    assert planned.run_at == integration.refresh_at


async def test_a_revoked_grant_is_asked_about_once_and_nothing_is_planned(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    integration = await consent(it, http, world)
    await cause(http, world.url, Revocation(provider=LANTERN, user="ada"))
    before = await count_requests(http, world.url, LANTERN)
    async with it.app.worker():
        await it.until("cancelled")
        await it.tokens.reconcile.enqueue(everything=True)
        await it.until("done", 2, name="tokens.reconcile")
    now = await it.see(integration)
    assert (now.status, now.refresh_at) == ("revoked", None)
    assert (await count_requests(http, world.url, LANTERN)).token_requests == before.token_requests + 1
    assert await it.planned() == []


async def test_an_outage_spends_no_attempt_and_leaves_other_providers_alone(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    down = await consent(it, http, world, "stormy-drive")
    up = await consent(it, http, world, LANTERN)
    await cause(http, world.url, Outage(provider="stormy-drive", seconds=3600, retry_after=1))
    async with it.app.worker():
        await it.until("snoozed", 2)
        await it.until("done")
        waiting = next(job for job in await it.planned() if down.id in job.args)
        assert (waiting.failures, (await it.see(down)).status) == (0, "active")
        assert (await it.see(up)).token_version == up.token_version + 1
        await cause(http, world.url, Outage(provider="stormy-drive", seconds=0))
        await it.until("done", 2)
    assert (await it.see(down)).token_version == down.token_version + 1


async def test_a_refresh_by_hand_leaves_one_plan_for_the_new_time(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    integration = await consent(it, http, world, life=0.5)
    by_hand = await it.tokens.service.refresher.refresh(integration.id, force=True)
    async with it.app.worker():
        await it.planned_for(by_hand.refresh_at)
    assert (await count_requests(http, world.url, LANTERN)).outcomes == {"ok": 2}  # the code, and one refresh


async def test_a_refresh_on_another_path_does_not_cost_the_plan(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    integration = await consent(it, http, world)
    async with it.app.worker():
        await it.refresh_without_key([integration], 8)
        await it.until("done", 9)
        await it.planned_for()


async def test_a_refresh_by_hand_moves_a_later_plan_forward(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    integration = await consent(it, http, world, life=3600)
    by_hand = await it.tokens.refresh_now(integration.id, force=True)  # its new token lives for half a minute only
    assert by_hand.refresh_at is not None
    assert integration.refresh_at is not None
    assert by_hand.refresh_at < integration.refresh_at
    async with it.app.worker():
        await it.planned_for(by_hand.refresh_at)
    assert (await count_requests(http, world.url, LANTERN)).outcomes == {"ok": 2}  # the code, and the refresh by hand


async def test_two_processes_refresh_each_token_once(home: Home, http: httpx2.AsyncClient, world: World) -> None:
    async with running(home) as one, running(home) as other:
        integrations = [await consent(one, http, world, slug) for slug in (LANTERN, "harbor-files", "stormy-drive")]
        async with one.app.worker(), other.app.worker():
            await asyncio.gather(*(process.refresh_without_key(integrations, 5) for process in (one, other)))
        for slug in (LANTERN, "harbor-files", "stormy-drive"):
            assert (await count_requests(http, world.url, slug)).reuses == 0
        for integration in integrations:
            assert (await one.see(integration)).status == "active"
        assert len(await one.planned()) == len(integrations)


async def test_what_left_the_store_is_gone_without_a_request(
    it: Running, http: httpx2.AsyncClient, world: World
) -> None:
    await it.tokens.refresh.enqueue("no-such-integration")
    async with it.app.worker():
        await it.until("cancelled")
    [job] = await it.app.store.page(Where(names=("tokens.refresh",)), limit=1)
    assert job.state is State.CANCELLED
    assert job.reason is not None
    assert "no integration" in job.reason


@pytest.mark.parametrize("home", HOMES[::2], indirect=True)  # in files, which can be looked through
async def test_no_job_holds_a_token(it: Running, http: httpx2.AsyncClient, world: World, tmp_path: Path) -> None:
    grant = await connect(http, world.url, LANTERN, "ada")
    assert grant.refresh_token
    provider = registered(find_provider(LANTERN), world.url)
    await it.connect(provider, Secret(grant.access_token), Secret(grant.refresh_token))
    async with it.app.worker():
        await it.until("done")
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert grant.refresh_token.encode() not in stored
    assert grant.access_token.encode() not in stored
