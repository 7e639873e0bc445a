"""`lamplighter analytics`, with jobs that ended yesterday."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete
from tests.cli.program import Program
from tests.families.running import TENANT
from tests.web.rolled import FAILED, TOOK, rolled_up

from lamplighter import App
from lamplighter.core.clock import utcnow
from lamplighter.core.config import Settings
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.service import Service
from lamplighter.integrations.storage.analytics_tables import rollups
from lamplighter.integrations.tenants import Tenant


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """In lamplighter.db of the folder."""
    app = App(settings=Settings(store=f"sqlite:///{tmp_path}/lamplighter.db"))
    tokens = TokenFamily(app)
    async with app:
        await tokens.service.tenants.add([Tenant(id=TENANT, name=TENANT, owner_id="o")])
        async with rolled_up(app, tokens):
            yield tokens.service


async def test_figures_are_listed_shown_and_exported(cli: Program, service: Service, tmp_path: Path) -> None:
    assert "jobs.failed" in [one["name"] for one in cli("analytics", "--json").json["metrics"]]
    shown = cli("analytics", "show", "jobs.done", "-t", TENANT, "--by", "month", "--json").json
    assert [one["figures"]["count"] for one in shown["series"]["windows"]] == [len(TOOK)]
    assert f" {FAILED}\n" in cli("analytics", "show", "jobs.failed").out
    assert cli("analytics", "export", "jobs.failed", "--output", str(tmp_path / "out.csv")).code == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1].endswith(f",{FAILED}.0")
    assert cli("analytics", "export", "jobs.failed", "-t", TENANT, "--by", "hour").out.count(TENANT) == 1


async def test_what_is_missing_is_found_and_made_anew(cli: Program, service: Service) -> None:
    whole = ("--from", f"{utcnow() - timedelta(days=5):%Y-%m-%d}", "--to", f"{utcnow() + timedelta(days=1):%Y-%m-%d}")
    assert cli("analytics", "gaps", *whole).code == 0
    lost = delete(rollups).where(rollups.c.resolution == "day")
    await service.database.write(lambda connection: connection.execute(lost))
    found = cli("analytics", "gaps", *whole, "--json")
    assert (found.code, found.json["gaps"][0]["resolution"]) == (1, "day")
    assert "made anew" in cli("analytics", "gaps", *whole, "--refill").out
    assert cli("analytics", "gaps", *whole).code == 0
    assert cli("analytics", "backfill", *whole, "--json").json["new"] >= 0


async def test_a_tenants_days_begin_where_it_lives(cli: Program, service: Service) -> None:
    assert cli("analytics", "zone", TENANT, "Asia/Kolkata").code == 0
    [noted] = [one for one in await service.audit.page() if one.action == "tenant.live-in"]
    assert (noted.tenant_id, noted.result) == (TENANT, "success")
    wrong = cli("analytics", "zone", TENANT, "Asia/Kolkatta")
    assert (wrong.code, "did you mean Asia/Kolkata?" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("show", "jobs.dine"), "there is no metric"),
        (("show", "jobs.done", "--by", "week"), "give one of hour, day, month"),
        (("show", "jobs.done", "--from", "yesterday"), "give a moment such as"),
        (("backfill", "--from", "2020-01-01"), "raise keep_measurements"),
        (("zone", "nobody", "UTC"), "there is no tenant"),
    ],
)
async def test_what_cannot_be_is_said_in_a_sentence(
    cli: Program, service: Service, args: tuple[str, ...], says: str
) -> None:
    answer = cli("analytics", *args)
    assert answer.code in {1, 2}
    assert says in answer.err
