"""`/analytics`: what happened, by hours, days and months, of a tenant or of all; and read again from the sources."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from lamplighter.families.analytics.csv_rows import as_csv
from lamplighter.families.analytics.gaps import Gap, Hole
from lamplighter.families.analytics.ranges import LONGEST, asked_for
from lamplighter.families.analytics.reading import Rolled
from lamplighter.families.analytics.windows import Resolution
from lamplighter.integrations.measuring.metric import Kind, Metric
from lamplighter.web import answers
from lamplighter.web.analytics_access import MetricName, Moment, TenantName, metric_named, whose
from lamplighter.web.answers import Shown
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Body
from lamplighter.web.describing.shows import CSV, shows, shows_csv
from lamplighter.web.given import Ours, Rollups, TheAnalytics, TheApp
from lamplighter.web.refusals import NoSuchTenant
from lamplighter.web.roles import Right, needs

EXAMPLE = (
    "metric,unit,tenant,begins_at,ends_at,local,total\r\n"
    "jobs.failed,,t-1,2026-03-28T23:00:00Z,2026-03-29T22:00:00Z,2026-03-29T00:00+01:00,3.0\r\n"
)

router = APIRouter()


class ShownMetric(Shown, frozen=True, kw_only=True):
    """A metric. `count` tells a `total`; `values` tell a `count`, a `mean` and quantiles; a `share` is from 0 to 1."""

    name: str
    kind: Kind
    title: str
    unit: str


class ShownWindow(Shown, frozen=True, kw_only=True):
    """A window, from `beginsAt` to before `endsAt`. `local`: its beginning, as the tenant's clock shows it."""

    begins_at: datetime
    ends_at: datetime
    local: str
    figures: Mapping[str, float | None]


class ShownSeries(Shown, frozen=True, kw_only=True):
    """The windows that have something, the oldest first. `tenant`: `*` are all, in UTC. `isCut`: there are more."""

    metric: ShownMetric
    tenant: str
    resolution: Resolution
    zone: str
    windows: list[ShownWindow]
    is_cut: bool


class ShownGaps(Shown, frozen=True, kw_only=True):
    """Windows that are missing or wrong, and times in which nobody looked at a source. `isCut`: there are more."""

    gaps: list[Gap]
    holes: list[Hole]
    is_cut: bool


class ShownWork(Shown, frozen=True, kw_only=True):
    """The job that does it: look there how far it is."""

    job_id: str


class ShownMarked(Shown, frozen=True, kw_only=True):
    """How many windows will be made anew, within seconds if a worker runs."""

    windows: int


class Time(Body):
    """From a moment to before another."""

    since: datetime
    until: datetime


class Zone(Body):
    """Where the tenant's days begin at midnight; null: in UTC."""

    time_zone: Annotated[str | None, Field(max_length=60)]


@router.get("/analytics")
@needs(Right.READ, sorts=True)
@shows(list[ShownMetric])
async def list_metrics(reading: Rollups) -> Response:
    """What is added up, by name."""
    return answers.data([ShownMetric(**_fields(one)) for one in await reading.metrics()])


@router.get("/analytics/gaps")
@needs(Right.READ)
@shows(ShownGaps)
async def list_gaps(analytics: TheAnalytics, app: TheApp, since: Moment = None, until: Moment = None) -> Response:
    """Windows that are over, and missing or wrong; by default of the last 60 days."""
    asked = asked_for("day", since, until, app.clock(), longest=LONGEST["day"])
    found = await analytics.gaps(*asked)
    return answers.data(ShownGaps(gaps=found.gaps, holes=found.holes, is_cut=found.is_cut))


@router.post("/analytics/gaps/refill")
@needs(Right.OPERATE, notes="analytics.refill")
@shows(ShownMarked)
async def refill(analytics: TheAnalytics, time: Time, admitted: Admission, app: TheApp) -> Response:
    """Have those of a time made anew."""
    found = await analytics.gaps(*asked_for("day", time.since, time.until, app.clock(), longest=LONGEST["day"]))
    marked = await analytics.refill(found)
    admitted.metadata["windows"] = marked
    return answers.data(ShownMarked(windows=marked))


@router.post("/analytics/backfill")
@needs(Right.OPERATE, notes="analytics.backfill")
@shows(ShownWork, status=202)
async def backfill(analytics: TheAnalytics, time: Time, admitted: Admission, app: TheApp) -> Response:
    """Read a time again from all sources, and add up what was missing: as far back as measurements are kept."""
    since, until = asked_for("day", time.since, time.until, app.clock(), longest=None)
    analytics.check_range(since, until)
    handle = await analytics.backfill.enqueue(since, until)
    admitted.metadata["job"] = handle.id
    return answers.data(ShownWork(job_id=handle.id), status=202)


@router.get("/analytics/{metric}")
@needs(Right.READ, sorts=True)
@shows(ShownSeries)
async def get_series(
    metric: MetricName,
    admitted: Admission,
    reading: Rollups,
    app: TheApp,
    *,
    tenant: TenantName = "",
    resolution: Resolution = "day",
    since: Moment = None,
    until: Moment = None,
) -> Response:
    """The windows that begin in a time: of a tenant; without one of the caller's, or of all. At most 2,000."""
    of = whose(admitted.caller, tenant)
    named = await metric_named(reading, metric)
    asked = asked_for(resolution, since, until, app.clock(), longest=LONGEST[resolution])
    series = await reading.series(named, of, resolution, *asked)
    return answers.data(
        ShownSeries(
            metric=ShownMetric(**_fields(series.metric)),
            tenant=series.tenant,
            resolution=series.resolution,
            zone=series.zone,
            windows=[_window(one) for one in series.windows],
            is_cut=series.is_cut,
        )
    )


@router.get("/analytics/{metric}/csv")
@needs(Right.READ, sorts=True)
@shows_csv(EXAMPLE)
async def get_csv(
    metric: MetricName,
    admitted: Admission,
    reading: Rollups,
    app: TheApp,
    *,
    tenant: TenantName = "",
    resolution: Resolution = "day",
    since: Moment = None,
    until: Moment = None,
) -> Response:
    """All windows that begin in a time, as a table for spreadsheets. Cells that would be formulas there are none."""
    of = whose(admitted.caller, tenant)
    asked = asked_for(resolution, since, until, app.clock(), longest=None)
    named = await metric_named(reading, metric)
    rows = as_csv(named, of, reading.pages(named, of, resolution, *asked))
    attached = {"Content-Disposition": f'attachment; filename="{metric}.{resolution}.csv"'}
    return StreamingResponse(rows, headers=answers.HEADERS | attached, media_type=CSV)


@router.post("/tenants/{tenant_id}/time-zone")
@needs(Right.OWN, notes="tenant.live-in")
@shows()
async def live_in(tenant_id: str, zone: Zone, admitted: Admission, service: Ours) -> Response:
    """Where the tenant's days begin: its windows are cut anew, as far back as measurements are kept."""
    admitted.metadata["time_zone"] = zone.time_zone
    if not await service.tenants.live_in(tenant_id, zone.time_zone):
        raise NoSuchTenant("there is no tenant of that id: list tenants to find it.")
    return answers.nothing()


def _fields(metric: Metric) -> dict[str, Any]:
    return {name: getattr(metric, name) for name in ShownMetric.__struct_fields__}


def _window(one: Rolled) -> ShownWindow:
    return ShownWindow(begins_at=one.begins_at, ends_at=one.ends_at, local=one.local, figures=one.figures)
