"""What happened, over HTTP: each tenant sees its own, and spreadsheets run nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import delete
from tests.families.running import TENANT
from tests.web.rolled import FAILED, TOOK, rolled_up
from tests.web.site import OTHER, Site, told

from lamplighter.families.analytics.csv_rows import harmless
from lamplighter.families.analytics.family import AnalyticsFamily
from lamplighter.integrations.storage.analytics_tables import rollups
from lamplighter.integrations.tenants import Tenant

FAILURES = "/analytics/jobs.failed"


@pytest.fixture
async def analytics(site: Site) -> AsyncIterator[AnalyticsFamily]:
    names = [Tenant(id=id_, name=id_, owner_id="o") for id_ in (TENANT, OTHER)]
    await site.service.tenants.add(names)
    async with rolled_up(site.inside.app, site.inside.tokens) as opened:
        yield opened


async def totals(site: Site, who: str, query: str = "") -> tuple[int, object]:
    status, data = told(await site.ask(who, "GET", f"{FAILURES}?resolution=day{query}"))
    return status, [one["figures"]["total"] for one in data["windows"]] if status == 200 else data


async def test_a_tenant_sees_its_own_figures_and_staff_all(site: Site, analytics: AnalyticsFamily) -> None:
    status, metrics = told(await site.ask("owner", "GET", "/analytics"))
    assert (status, "jobs.done" in [one["name"] for one in metrics]) == (200, True)
    assert await totals(site, "owner") == (200, [FAILED])
    assert await totals(site, "stranger") == (200, [])
    assert await totals(site, "viewer") == (200, [FAILED])
    assert await totals(site, "viewer", f"&tenant={OTHER}") == (200, [])
    for who, query in (("stranger", f"&tenant={TENANT}"), ("owner", "&tenant=*"), ("nosy", "")):
        assert (await totals(site, who, query))[0] == 403, (who, query)
    assert await totals(site, "agent") == (400, "validation/invalid-input"), "who acts for several says for which"


async def test_values_tell_their_quantiles_within_one_percent(site: Site, analytics: AnalyticsFamily) -> None:
    status, series = told(await site.ask("owner", "GET", "/analytics/jobs.done?resolution=hour"))
    [window] = series["windows"]
    figures = window["figures"]
    assert (status, figures["count"], figures["least"], figures["most"]) == (200, len(TOOK), 0.5, 2.0)
    assert figures["p50"] == pytest.approx(1.0, rel=0.01)
    assert (series["zone"], series["metric"]["unit"]) == ("UTC", "s")


async def test_the_table_for_spreadsheets_has_every_window(site: Site, analytics: AnalyticsFamily) -> None:
    answer = await site.ask("owner", "GET", f"{FAILURES}/csv?resolution=day")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="jobs.failed.day.csv"'
    [header, row] = csv.reader(io.StringIO(answer.text))
    assert dict(zip(header, row, strict=True))["tenant"] == TENANT
    assert float(row[-1]) == FAILED
    assert told(await site.ask("stranger", "GET", f"{FAILURES}/csv?tenant={TENANT}"))[0] == 403


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_run_is_text_there(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert (harmless("t-1"), harmless(-1.5)) == ("t-1", -1.5)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/analytics/jobs.nothing", 404),
        (f"{FAILURES}?resolution=week", 400),
        (f"{FAILURES}?since=2026-02-01&until=2026-01-01", 400),
        (f"{FAILURES}?resolution=hour&since=2020-01-01&until=2026-01-01", 400),
        (f"{FAILURES}?tenant=%00", 400),
    ],
)
async def test_what_cannot_be_asked_is_said(site: Site, analytics: AnalyticsFamily, path: str, status: int) -> None:
    assert told(await site.ask("viewer", "GET", path))[0] == status


async def test_operators_find_gaps_refill_them_and_read_again(site: Site, analytics: AnalyticsFamily) -> None:
    lost = delete(rollups).where(rollups.c.resolution == "day")
    await site.service.database.write(lambda connection: connection.execute(lost))
    assert told(await site.ask("owner", "GET", "/analytics/gaps"))[0] == 403
    _, found = told(await site.ask("viewer", "GET", "/analytics/gaps"))
    assert {(one["resolution"], one["has"]) for one in found["gaps"]} <= {("day", None)}
    now = site.inside.app.clock()
    time = {"since": (now - timedelta(days=3)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    assert told(await site.ask("viewer", "POST", "/analytics/gaps/refill", time))[0] == 403
    status, marked = told(await site.ask("operator", "POST", "/analytics/gaps/refill", time))
    assert (status, marked["windows"] > 0) == (200, True)
    await analytics.roll_up()
    assert await totals(site, "owner") == (200, [FAILED])
    status, work = told(await site.ask("operator", "POST", "/analytics/backfill", time))
    assert (status, bool(work["jobId"])) == (202, True)
    long_ago = time | {"since": "2020-01-01T00:00:00Z"}
    assert told(await site.ask("operator", "POST", "/analytics/backfill", long_ago))[0] == 400
    assert [one.action for one in await site.records("analytics.backfill")] == ["analytics.backfill"] * 2


async def test_a_tenant_says_where_its_days_begin(site: Site, analytics: AnalyticsFamily) -> None:
    path = f"/tenants/{TENANT}/time-zone"
    assert told(await site.ask("owner", "POST", path, {"timeZone": "Europe/Berln"})) == (
        400,
        "validation/invalid-input",
    )
    assert (await site.ask("owner", "POST", path, {"timeZone": "Asia/Kolkata"})).status_code == 204
    assert told(await site.ask("stranger", "POST", path, {"timeZone": None}))[0] == 403
    assert told(await site.ask("superadmin", "POST", "/tenants/nobody/time-zone", {"timeZone": None}))[0] == 404
    await analytics.roll_up()
    _, series = told(await site.ask("owner", "GET", FAILURES))
    [window] = series["windows"]
    assert (series["zone"], window["local"][10:]) == ("Asia/Kolkata", "T00:00+05:30")


async def test_an_app_that_adds_nothing_up_says_so(site: Site) -> None:
    assert told(await site.ask("viewer", "GET", "/analytics/gaps")) == (409, "analytics/not-rolled-up")
    assert told(await site.ask("viewer", "GET", "/analytics")) == (200, [])
