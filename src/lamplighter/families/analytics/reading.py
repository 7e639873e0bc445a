"""What the rollups say: the windows of a metric and tenant, and their figures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Connection, Row, func, select

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us
from lamplighter.families.analytics import sketch
from lamplighter.families.analytics.windows import Calendar, Resolution
from lamplighter.families.analytics.zones import calendar_of
from lamplighter.integrations.measuring.metric import FIGURES, BadMetric, Kind, Metric
from lamplighter.integrations.storage.analytics_tables import measured_metrics, rollup_marks, rollup_sources, rollups
from lamplighter.integrations.storage.database import Database

MOST = 2000  # windows in one answer
PAGE = 500  # windows that are read at once for an export
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

_rollup = rollups.c
_metric = measured_metrics.c


class Rolled(Struct, frozen=True, kw_only=True):
    """A window and its figures, by their names. `local`: when it begins, as the tenant's clock shows it."""

    begins_at: datetime
    ends_at: datetime
    local: str
    figures: Mapping[str, float | None]


class Series(Struct, frozen=True, kw_only=True):
    """The windows of a time that have something, the oldest first. `is_cut`: there are more of them, later."""

    metric: Metric
    tenant: str
    resolution: Resolution
    zone: str
    windows: list[Rolled]
    is_cut: bool = False


class State(Struct, frozen=True, kw_only=True):
    """How far the rollups are behind: how many windows are to be made, since when the oldest of them is, and when
    somebody last collected what is new (None: nobody ever did)."""

    marked: int
    oldest: datetime | None
    looked_at: datetime | None

    def lag(self, now: datetime) -> float | None:
        """For how many seconds something may have happened that no rollup has; None: nothing is added up here."""
        if self.looked_at is None:
            return None
        return max(0.0, (now - min(self.looked_at, self.oldest or now)).total_seconds())


class Reading:
    """Reads rollups. Whoever asks is to be told only of tenants that it may see."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def metrics(self) -> list[Metric]:
        """Those that were ever rolled up, by name."""
        statement = select(_metric.name, _metric.kind, _metric.title, _metric.unit).order_by(_metric.name)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [_known(row) for row in rows]

    async def metric(self, name: str) -> Metric:
        """Raises BadMetric if nothing of that name was ever rolled up."""
        statement = select(_metric.name, _metric.kind, _metric.title, _metric.unit).where(_metric.name == name)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        if row is None:
            raise BadMetric(f"there is no metric {name!r:.80}: list those there are.")
        return _known(row)

    async def series(
        self,
        metric: Metric,
        tenant: str,
        resolution: Resolution,
        since: datetime,
        until: datetime,
        *,
        limit: int = MOST,
    ) -> Series:
        """The windows that begin in a time. `tenant`: "*" are all, "" is none."""
        read = partial(
            _read, name=metric.name, tenant=tenant, resolution=resolution, until=to_us(until), limit=limit + 1
        )
        calendar, rows = await self._database.read(partial(read, since=to_us(since)))
        return Series(
            metric=metric,
            tenant=tenant,
            resolution=resolution,
            zone=calendar.zone_at(to_us(until)),
            windows=[_rolled(metric.kind, row, calendar) for row in rows[:limit]],
            is_cut=len(rows) > limit,
        )

    async def pages(
        self, metric: Metric, tenant: str, resolution: Resolution, since: datetime, until: datetime
    ) -> AsyncIterator[list[Rolled]]:
        """All of them, some at a time."""
        while True:
            series = await self.series(metric, tenant, resolution, since, until, limit=PAGE)
            yield series.windows
            if not series.is_cut:
                return
            since = series.windows[-1].ends_at

    async def state(self) -> State:
        """How far the rollups are behind."""
        return await self._database.read(_state)


def _read(
    connection: Connection, *, name: str, tenant: str, resolution: Resolution, since: int, until: int, limit: int
) -> tuple[Calendar, list[Row[Any]]]:
    statement = (
        select(rollups, _rollup["count"].label("n"))  # a row has a method of its column's name
        .where(_rollup.metric == name, _rollup.tenant_id == tenant, _rollup.resolution == resolution)
        .where(_rollup.begins_at >= since, _rollup.begins_at < until)
        .order_by(_rollup.begins_at)
        .limit(limit)
    )
    return calendar_of(connection, tenant), list(connection.execute(statement))


def _state(connection: Connection) -> State:
    marked, oldest = connection.execute(select(func.count(), func.min(rollup_marks.c.marked_at))).one()
    looked_at = connection.execute(select(func.min(rollup_sources.c.collected_at))).scalar()
    return State(marked=marked, oldest=maybe_from_us(oldest), looked_at=maybe_from_us(looked_at))


def _known(row: Any) -> Metric:
    return Metric(row.name, row.kind, row.title, row.unit)


def _rolled(kind: Kind, row: Row[Any], calendar: Calendar) -> Rolled:
    begins_at = from_us(row.begins_at)
    local = begins_at.astimezone(ZoneInfo(calendar.zone_at(row.begins_at)))
    return Rolled(
        begins_at=begins_at,
        ends_at=from_us(row.ends_at),
        local=local.isoformat(timespec="minutes"),
        figures=_figures(kind, row),
    )


def _figures(kind: Kind, row: Row[Any]) -> dict[str, float | None]:
    match kind:
        case "count":
            return {"total": row.total}
        case "share":
            return {"share": row.total / row.n if row.n else None}
        case "values":
            found = sketch.quantiles(row.sketch, QUANTILES.values()) if row.sketch else [None] * len(QUANTILES)
            between = dict(zip(QUANTILES, (_between(row, value) for value in found), strict=True))
            mean = row.total / row.n
            figures = {"count": row.n, "mean": mean, "least": row.least, **between, "most": row.most}
            return {one.name: figures[one.name] for one in FIGURES["values"]}


def _between(row: Row[Any], value: float | None) -> float | None:
    """The middle of the last bucket may lie beyond the greatest value, and of the first before the least."""
    return None if value is None else min(max(value, row.least), row.most)
