"""When tokens expire, and what is late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select, text, update
from sqlalchemy.dialects import sqlite
from tests.integrations.support import Home, Service, service
from tests.integrations.telling import provider

from lamplighter.core.clock import to_us
from lamplighter.integrations import expiry as module
from lamplighter.integrations.expiry import lateness, look_ahead, soonest_until
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.storage.tables import integrations
from lamplighter.integrations.tenants import Tenant, Tenants

NOW = datetime(2030, 1, 2, 3, tzinfo=UTC)
STEP = timedelta(minutes=5)


def after(minutes: float | None) -> int | None:
    return None if minutes is None else to_us(NOW + timedelta(minutes=minutes))


async def put(ours: Service, *tokens: tuple[str, float | None, float | None, str]) -> None:
    """Integrations with these ids, whose tokens expire and are to be refreshed after so many minutes, in a status."""
    ids = [id_ for id_, *_ in tokens]
    await ours.registrations.register(provider("drive"))
    await Tenants(ours.database).add([Tenant(id=id_, name=id_, owner_id="auth|1") for id_ in ids])
    await ours.integrations.add_many(NewIntegration(tenant_id=id_, provider_slug="drive", id=id_) for id_ in ids)

    def write(connection: Connection) -> None:
        for id_, expires, refresh, status in tokens:
            values = {"expires_at": after(expires), "refresh_at": after(refresh), "status": status}
            connection.execute(update(integrations).where(integrations.c.id == id_).values(**values))

    await ours.database.write(write)


async def test_tokens_are_counted_by_when_they_expire(ours: Service) -> None:
    await put(
        ours,
        ("a", 4, 2, "active"),
        ("b", 4.9, -1, "active"),
        ("c", 12, 9, "active"),
        ("d", 13, None, "active"),
        ("e", -3, -8, "active"),
        ("f", 70, 65, "active"),
        ("g", None, None, "active"),
        ("h", 4, 2, "revoked"),
    )
    found = await look_ahead(ours.database, NOW, STEP, 12)
    assert [one.tokens for one in found.stretches] == [2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert (found.stretches[2].since, found.stretches[2].until) == (NOW + 2 * STEP, NOW + 3 * STEP)
    assert (found.past, found.late, found.is_cut) == (1, 2, False)
    assert found.latest == NOW - timedelta(minutes=8)
    assert [one.id for one in found.soonest] == ["e", "a", "b", "c", "d"]
    assert found.soonest[-1].refresh_at is None


async def test_nothing_that_expires_is_nothing(ours: Service) -> None:
    found = await look_ahead(ours.database, NOW, STEP, 3)
    assert [one.tokens for one in found.stretches] == [0, 0, 0]
    assert (found.past, found.late, found.latest, found.soonest, found.is_cut) == (0, 0, None, [], False)


async def test_no_more_than_the_most_urgent_are_looked_at(ours: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    await put(ours, *((f"i-{n}", n + 2, n + 1, "active") for n in range(4)), ("z", 1, None, "active"))
    found = await look_ahead(ours.database, NOW, STEP, 3)
    assert [one.id for one in found.soonest] == ["z", "i-0", "i-1"]
    assert found.is_cut
    assert [one.tokens for one in found.stretches] == [3, 0, 0]


@pytest.mark.parametrize("statement", [lateness(1), soonest_until(1)], ids=["lateness", "soonest"])
async def test_what_is_urgent_is_read_from_an_index(tmp_path: Path, statement: Select[Any]) -> None:
    sql = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})

    def explain(connection: Connection) -> list[str]:
        return [row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]

    async with service(Home(tmp_path, f"sqlite:///{tmp_path}/lamplighter.db")) as ours:
        plan = [step for step in await ours.database.read(explain) if "lamp_integrations" in step]
    assert plan
    assert all("(status=? AND refresh_at" in step for step in plan), plan
