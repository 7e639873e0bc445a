"""`/analytics`: what happened, of a tenant or of all, by hours, days or months: charts, a table, and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from lamplighter.families.analytics.csv_rows import as_csv
from lamplighter.families.analytics.level import ALL
from lamplighter.families.analytics.reading import Reading, Rolled, Series
from lamplighter.families.analytics.windows import Resolution
from lamplighter.integrations.measuring.metric import FIGURES, LONGEST_NAME, Metric
from lamplighter.web import answers
from lamplighter.web.analytics_access import metric_named
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import PRINTABLE, Search
from lamplighter.web.given import Rollups, TheApp
from lamplighter.web.pages.rendering import render
from lamplighter.web.roles import Right, needs

SpanName = Literal["2d", "7d", "30d", "60d", "1y", "2y", "10y"]
MetricChosen = Annotated[str, Query(max_length=LONGEST_NAME, pattern=PRINTABLE)]
FIRST = "jobs.done"  # of the metrics, the one that is shown
MOST_ROWS = 400  # of the table: the CSV has all


class Span(NamedTuple):
    """What is shown: by which resolution, and how far back."""

    resolution: Resolution
    length: timedelta
    label: str


SPANS: dict[SpanName, Span] = {
    "2d": Span("hour", timedelta(days=2), "2 days, by hours"),
    "7d": Span("hour", timedelta(days=7), "a week"),
    "30d": Span("hour", timedelta(days=30), "30 days"),
    "60d": Span("day", timedelta(days=60), "60 days, by days"),
    "1y": Span("day", timedelta(days=366), "a year"),
    "2y": Span("month", timedelta(days=731), "2 years, by months"),
    "10y": Span("month", timedelta(days=3653), "10 years"),
}

router = APIRouter()


@router.get("/analytics")
@needs(Right.READ)
async def see(
    request: Request,
    admitted: Admission,
    reading: Rollups,
    app: TheApp,
    *,
    metric: MetricChosen = "",
    tenant: Search = "",
    span: SpanName = "60d",
) -> Response:
    """A metric of a tenant, or of all."""
    metrics = {one.name: one for one in await reading.metrics()}
    chosen = metrics.get(metric) or metrics.get(FIRST) or next(iter(metrics.values()), None)
    series = await _series(reading, chosen, tenant.strip(), SPANS[span], app.clock()) if chosen else None
    return render(
        request,
        "analytics.html",
        admitted.caller,
        metrics=list(metrics.values()),
        chosen=chosen.name if chosen else "",
        tenant=tenant.strip(),
        span=span,
        spans=SPANS,
        series=series,
        figures=[] if series is None else FIGURES[series.metric.kind],
        rows=[] if series is None else series.windows[::-1][:MOST_ROWS],
        state=await reading.state(),
    )


@router.get("/analytics/line")
@needs(Right.READ)
async def line(
    reading: Rollups, app: TheApp, *, metric: MetricChosen, tenant: Search = "", span: SpanName = "60d"
) -> Response:
    """Moments, and the figures of the windows that begin then. Where nothing happened, a count is 0."""
    named = await metric_named(reading, metric)
    return answers.data(_columns(await _series(reading, named, tenant.strip(), SPANS[span], app.clock())))


@router.get("/analytics/csv")
@needs(Right.READ)
async def csv(
    reading: Rollups, app: TheApp, *, metric: MetricChosen, tenant: Search = "", span: SpanName = "60d"
) -> Response:
    """The same as a table for spreadsheets."""
    resolution, length, _ = SPANS[span]
    now, of = app.clock(), tenant.strip() or ALL
    named = await metric_named(reading, metric)
    rows = as_csv(named, of, reading.pages(named, of, resolution, now - length, now))
    attached = {"Content-Disposition": f'attachment; filename="{metric}.{resolution}.csv"'}
    return StreamingResponse(rows, headers=answers.HEADERS | attached, media_type="text/csv")


async def _series(reading: Reading, metric: Metric, tenant: str, span: Span, now: datetime) -> Series:
    return await reading.series(metric, tenant or ALL, span.resolution, now - span.length, now)


def _columns(series: Series) -> dict[str, object]:
    points = list(_with_gaps(series.windows))
    names = [figure.name for figure in FIGURES[series.metric.kind]]
    nothing = 0.0 if series.metric.kind == "count" else None
    columns: dict[str, object] = {"at": [at.timestamp() for at, _ in points]}
    for name in names:
        zero = 0.0 if name == "count" else nothing
        columns[name] = [zero if one is None else one.figures[name] for _, one in points]
    return columns


def _with_gaps(windows: Sequence[Rolled]) -> Iterator[tuple[datetime, Rolled | None]]:
    """Windows in which nothing happened are not there: a gap has its first and its last moment."""
    last: Rolled | None = None
    for one in windows:
        if last is not None and last.ends_at < one.begins_at:
            yield last.ends_at, None
            before = one.begins_at - (one.ends_at - one.begins_at)
            if before > last.ends_at:
                yield before, None
        yield one.begins_at, one
        last = one
