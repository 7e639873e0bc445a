"""The health family against the demo world, with a proxy before its drives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import msgspec
import pytest
from sqlalchemy import select, update
from tests.counterparts.fault_proxy import FaultProxy, answer
from tests.counterparts.fixtures import StartProxy
from tests.families.running import Home, Running

from lamplighter import App
from lamplighter.core.model import Where
from lamplighter.demo.catalog import DemoGrant
from lamplighter.demo.client import cause, count_requests
from lamplighter.demo.faults import Revocation
from lamplighter.demo.settle import settle
from lamplighter.demo.world import World
from lamplighter.families.health import HealthFamily
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.health.health import HealthView
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.storage.tables import health, notices

LANTERN, HARBOR = "lantern-drive", "harbor-files"
GRANTS = [DemoGrant("copper-bakery", LANTERN, "ada"), DemoGrant("copper-bakery", HARBOR, "ada")]


class Ward(Running):
    """An open app with both families, in which every integration is due to be checked when it is told so."""

    def __init__(self, app: App[None], tokens: TokenFamily) -> None:
        self.health = HealthFamily(app, tokens)
        super().__init__(app, tokens)

    async def settle(self, world: World, proxy: FaultProxy) -> list[Integration]:
        """The grants, connected, the first provider's drive behind the proxy."""
        service = self.tokens.service
        connected = await settle(service, world.url, GRANTS)
        provider = await service.registrations.get(LANTERN)
        changed = msgspec.structs.replace(provider, health_url=f"{proxy.url}/{LANTERN}/drive/about")
        await service.registrations.register(changed)
        return connected

    async def call_in(self, *integrations: Integration) -> None:
        """Their moment has come."""
        ids = [one.id for one in integrations]
        statement = update(health).where(health.c.integration_id.in_(ids)).values(due_at=1)
        await self.tokens.service.database.write(lambda connection: connection.execute(statement).close())
        await self.health.sweep.enqueue()

    async def health_of(self, integration: Integration) -> HealthView:
        found = await self.tokens.service.healths.get(integration.id)
        assert found is not None
        return found

    async def told(self) -> list[tuple[str, str]]:
        """Of which integration people are told what, the oldest first."""
        statement = select(notices.c.integration_id, notices.c.event).order_by(notices.c.id)
        rows = await self.tokens.service.database.read(lambda connection: connection.execute(statement).all())
        return [(row.integration_id, row.event) for row in rows if row.event != "integration.connected"]


@asynccontextmanager
async def ward(home: Home) -> AsyncIterator[Ward]:
    app = App(settings=home.settings())
    opened = Ward(app, TokenFamily(app))
    async with app:
        yield opened


@pytest.fixture
async def it(home: Home) -> AsyncIterator[Ward]:
    async with ward(home) as opened:
        yield opened


@pytest.fixture
async def proxy(world: World, start_proxy: StartProxy) -> FaultProxy:
    return await start_proxy(world.url)


async def test_those_whose_moment_has_come_are_checked_and_the_others_left(
    it: Ward, world: World, proxy: FaultProxy
) -> None:
    due, later = await it.settle(world, proxy)
    await it.call_in(due)
    async with it.app.worker():
        await it.until("done", name="health.check")
        await it.until("done", name="health.sweep")
    found = await it.health_of(due)
    assert (found.health, found.last_checked is not None) == ("healthy", True)
    assert (await it.health_of(later)).last_checked is None
    assert it.count("done", "health.check") == 1


async def test_a_start_checks_nothing_of_what_is_new(it: Ward, world: World, proxy: FaultProxy) -> None:
    connected = await it.settle(world, proxy)
    await it.health.sweep.enqueue()
    async with it.app.worker():
        await it.until("done", name="health.sweep")
    assert await it.app.store.page(Where(names=("health.check",)), limit=10) == []
    assert all([(await it.health_of(one)).due_at for one in connected])


async def test_one_401_refreshes_at_once_in_place_of_the_refresh_that_was_planned(
    it: Ward, world: World, proxy: FaultProxy
) -> None:
    refused, _ = await it.settle(world, proxy)
    proxy.meet("/", answer(401))
    await it.call_in(refused)
    async with it.app.worker():
        await it.until("done")
        assert (await it.health_of(refused)).health == "unauthorized"
        after = await it.see(refused)
        assert after.token_version == refused.token_version + 1
        assert [job.run_at for job in await it.planned() if refused.id in job.args] == [after.refresh_at]
        await it.call_in(refused)
        await it.until("done", 2, name="health.check")
    assert (await it.health_of(refused)).health == "healthy"
    assert await it.told() == []


async def test_a_refresh_that_is_refused_revokes_and_the_owner_is_told_once(
    it: Ward, world: World, proxy: FaultProxy, http: httpx2.AsyncClient
) -> None:
    gone, fine = await it.settle(world, proxy)
    await cause(http, world.url, Revocation(provider=LANTERN, user="ada"))
    before = await count_requests(http, world.url, LANTERN)
    async with it.app.worker():
        await it.call_in(gone, fine)
        await it.until("done", 2, name="health.check")
        await it.until("cancelled")
        await it.call_in(gone, fine)
        await it.until("done", 3, name="health.check")  # what is revoked is not checked any more
    assert (await it.see(gone)).status == "revoked"
    assert await it.told() == [(gone.id, "integration.revoked")]
    assert (await it.health_of(gone)).health == "unauthorized"
    assert (await it.health_of(fine)).health == "healthy"
    assert (await count_requests(http, world.url, LANTERN)).token_requests == before.token_requests + 1


async def test_an_error_is_recorded_and_nothing_is_refreshed(it: Ward, world: World, proxy: FaultProxy) -> None:
    troubled, fine = await it.settle(world, proxy)
    proxy.meet("/", answer(503), count=None)
    await it.call_in(troubled, fine)
    async with it.app.worker():
        await it.until("done", 2, name="health.check")
    found = await it.health_of(troubled)
    assert (found.health, found.message) == ("error", "Lantern Drive answered 503.")
    assert (await it.see(troubled)).token_version == troubled.token_version
    assert (await it.health_of(fine)).health == "healthy"
    assert len(proxy.seen()) == 1
