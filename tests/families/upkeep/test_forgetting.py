"""The upkeep family: what is old is forgotten, what lasts is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.integrations.support import Timer

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.core.secret import Secret
from lamplighter.families.tokens import TokenFamily
from lamplighter.families.upkeep import UpkeepFamily
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.health.span import Seen
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.provider import load_facts
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.tables import audit, deliveries, health_spans, messages, notices
from lamplighter.integrations.tenants import Tenant

HEALTHS: tuple[Health, ...] = ("unauthorized", "healthy", "error", "healthy")


async def live_through(service: Service, timer: Timer) -> None:
    """A year of an integration: it was connected once, and its health changed in each quarter."""
    await service.registrations.register(load_facts()["gdrive"].with_client("client", Secret("secret")))
    await service.tenants.add([Tenant(id="t-1", name="Copper Bakery", owner_id="auth|1")])
    new = NewIntegration(tenant_id="t-1", provider_slug="gdrive", access_token=Secret("a"))
    connected = await service.integrations.connect(new)
    for health in HEALTHS:
        timer.passes(timedelta(days=90).total_seconds())
        await service.healths.note(connected.id, Seen(health, None, 10))


async def counts(service: Service) -> dict[str, int]:
    tables = (health_spans, notices, deliveries, messages, audit)
    return {
        table.name: await service.database.read(
            lambda connection, table=table: connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[misc] # bound now, run now
        )
        for table in tables
    }


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(store=f"sqlite:///{tmp_path}/lamplighter.db")
    return Settings(store=request.getfixturevalue("postgres_schema_url"), folder=tmp_path)


async def test_what_is_older_than_the_settings_say_is_forgotten_and_the_span_that_lasts_is_not(
    settings: Settings,
) -> None:
    timer = Timer()
    app = App(settings=settings, clock=timer)
    tokens = TokenFamily(app)
    upkeep = UpkeepFamily(app, tokens)
    async with app:
        await live_through(tokens.service, timer)
        before = await counts(tokens.service)
        assert before["lamp_health_spans"] == 5
        handle = await upkeep.forget.enqueue()
        async with app.worker() as worker:
            await app.until_idle(worker)
        assert await handle.result() == {"spans": 3, "notices": 1, "messages": 0, "alerts": 0, "audit": 0}
        assert await counts(tokens.service) == before | {"lamp_health_spans": 2, "lamp_notices": 0}
        [view] = await tokens.service.healths.of([(await tokens.service.integrations.page())[0].id])
        assert view.health == "healthy"
        timer.passes(timedelta(days=100).total_seconds())
        handle = await upkeep.forget.enqueue()
        async with app.worker() as worker:
            await app.until_idle(worker)
        assert (await handle.result())["audit"] == 2, "a provider was registered, and a tenant connected"
        assert (await counts(tokens.service))["lamp_health_spans"] == 1
