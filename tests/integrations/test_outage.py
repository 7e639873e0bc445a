"""What one process has seen of an outage counts for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.integrations.support import NOW, TENANT, Endpoint, Home, Service, Timer, service

from lamplighter.core.secret import Secret
from lamplighter.integrations.integration import Integration, NewIntegration
from lamplighter.integrations.oauth import ProviderDown
from lamplighter.integrations.refreshing import outage
from lamplighter.integrations.refreshing.breaker import OUTAGES_TO_OPEN
from lamplighter.integrations.refreshing.outcome import Shut
from lamplighter.integrations.tenants import Tenant, Tenants

SECOND = timedelta(seconds=1)


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
async def processes(home: Home, timer: Timer) -> AsyncIterator[list[Service]]:
    async with service(home, clock=timer) as one, service(home, clock=timer) as other:
        yield [one, other]


async def connected(endpoint: Endpoint, ours: Service, tenant: str = TENANT) -> Integration:
    await ours.registrations.register(endpoint.provider())
    await Tenants(ours.database).add([Tenant(id=tenant, name=tenant, owner_id="auth|1")])
    return await ours.integrations.connect(
        NewIntegration(
            tenant_id=tenant,
            provider_slug=endpoint.provider().slug,
            access_token=Secret("a"),
            refresh_token=Secret("r"),
            expires_at=NOW - SECOND,
        )
    )


async def fail(ours: Service, integration: Integration, times: int = 1) -> ProviderDown:
    for _ in range(times):
        with pytest.raises(ProviderDown) as down:
            await ours.refresher.refresh(integration.id)
    return down.value


async def test_a_process_leaves_a_provider_alone_that_failed_another(
    endpoint: Endpoint, processes: list[Service]
) -> None:
    one, other = processes
    integration = await connected(endpoint, one)
    endpoint.status = 503
    await fail(one, integration, OUTAGES_TO_OPEN)
    with pytest.raises(Shut) as shut:
        await other.refresher.refresh(integration.id)
    assert shut.value.retry_in == SECOND
    assert len(endpoint.tokens) == OUTAGES_TO_OPEN


async def test_one_process_at_a_time_probes(endpoint: Endpoint, processes: list[Service], timer: Timer) -> None:
    one, other = processes
    integration, another = await connected(endpoint, one), await connected(endpoint, one, "tidewater-clinic")
    endpoint.status = 503
    await fail(one, integration, OUTAGES_TO_OPEN)
    timer.passes(1)
    endpoint.asked.clear()
    endpoint.may_answer.clear()
    probe = asyncio.create_task(other.refresher.refresh(integration.id))
    await endpoint.asked.wait()
    with pytest.raises(Shut):
        await one.refresher.refresh(another.id)
    endpoint.may_answer.set()
    with pytest.raises(ProviderDown):
        await probe
    assert len(endpoint.tokens) == OUTAGES_TO_OPEN + 1


async def test_what_one_process_finds_out_lets_all_go_at_once(
    endpoint: Endpoint, processes: list[Service], timer: Timer
) -> None:
    one, other = processes
    integration = await connected(endpoint, one)
    endpoint.status = 503
    await fail(one, integration, OUTAGES_TO_OPEN)
    timer.passes(1)
    await fail(one, integration)  # for whom the pause is twice as long now
    timer.passes(2)
    endpoint.status = 200
    assert (await other.refresher.refresh(integration.id)).outcome == "refreshed"
    assert (one.plans.back, other.plans.back) == ([], ["lantern"])
    assert (await one.refresher.refresh(integration.id, force=True)).outcome == "refreshed"
    assert other.plans.back == ["lantern"]  # told once


async def test_whoever_failed_probes_again_and_soon_however_long_it_lasts(
    endpoint: Endpoint, processes: list[Service], timer: Timer
) -> None:
    one, _ = processes
    integration = await connected(endpoint, one)
    endpoint.status = 503
    await fail(one, integration, OUTAGES_TO_OPEN)
    pauses = []
    for _ in range(8):
        timer.passes(outage.PROBE_EVERY.total_seconds())
        down = await fail(one, integration)
        assert down.retry_in is not None
        pauses.append(down.retry_in)
    assert pauses == sorted(pauses)
    assert outage.PROBE_EVERY < pauses[-1] < outage.PROBE_EVERY + SECOND / 2


async def test_what_a_straggler_says_does_not_shorten_retry_after(processes: list[Service], endpoint: Endpoint) -> None:
    one, _ = processes
    integration = await connected(endpoint, one)
    for seconds, is_probe in ((600, False), (1, False)):
        until = NOW + seconds * SECOND
        await one.database.write(
            lambda connection, until=until, is_probe=is_probe: outage.shut(  # type: ignore[misc] # bound now, run at once
                connection, "lantern", until, is_probe=is_probe
            )
        )
    with pytest.raises(Shut) as shut:
        await one.refresher.refresh(integration.id)
    assert shut.value.retry_in == 600 * SECOND


async def test_a_probe_that_asked_nobody_leaves_it_to_the_next(
    endpoint: Endpoint, processes: list[Service], timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = processes
    integration = await connected(endpoint, one)
    endpoint.status = 503
    await fail(one, integration, OUTAGES_TO_OPEN)
    timer.passes(1)
    with monkeypatch.context() as broken:
        broken.setattr(one.refresher, "_ask", None)
        with pytest.raises(TypeError):
            await one.refresher.refresh(integration.id)
    endpoint.status = 200
    assert (await other.refresher.refresh(integration.id)).outcome == "refreshed"
