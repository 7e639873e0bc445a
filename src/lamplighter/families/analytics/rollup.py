"""Adding up: what is new marks its hour, an hour is made anew of all that was measured in it, then its day, its month.

Each step is a transaction of bounded size, and may be done twice or be killed: what a window adds up to depends only on
what is in it. An hour is never made of a part of what happened, since measurements are kept for longer than they are
taken (see `retention`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, select, update

from lamplighter.core.clock import Clock, to_us
from lamplighter.families.analytics import sketch
from lamplighter.families.analytics.level import ALL, EVENTLESS, LEVELS, Level
from lamplighter.families.analytics.marks import Marked, mark, take
from lamplighter.families.analytics.statements import (
    COUNT_BUCKETS,
    SKETCHES_OF_PARTS,
    STORE_SKETCHES,
    SUM_MEASUREMENTS,
    SUM_PARTS,
    SUM_UPTIME,
    count_buckets_of_all,
    sum_hours_of_all,
)
from lamplighter.families.analytics.windows import Window
from lamplighter.families.analytics.zones import Calendars
from lamplighter.integrations.storage.analytics_tables import measured_metrics, measurements
from lamplighter.integrations.storage.database import Database

NEW_TOGETHER = 5000  # measurements that one transaction looks at
WINDOWS_TOGETHER = 500  # that one transaction makes

_measured = measurements.c


class Rollup:
    """Adds up, in one database. Two at once do the same, and no harm."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def look(self) -> int:
        """Mark the hours of some of what is new; returns how much that was."""
        return await self._database.write(partial(_look, now=self._clock()))

    async def roll(self, level: Level) -> int:
        """Make some marked windows of a level; returns how many."""
        return await self._database.write(partial(_roll, level=level, now=self._clock()))

    async def everything(self) -> int:
        """Until nothing is left to do; returns how many windows were made."""
        while await self.look():
            pass
        made = 0
        for level in LEVELS:
            while some := await self.roll(level):
                made += some
        return made


def _look(connection: Connection, now: datetime) -> int:
    calendars = Calendars.read(connection)
    some = select(_measured.seq).where(_measured.is_new).order_by(_measured.seq).limit(NEW_TOGETHER)
    seen = (
        update(measurements)
        .where(_measured.seq.in_(some.with_for_update(skip_locked=True)))
        .values(is_new=False)
        .returning(_measured.metric, _measured.tenant_id, _measured.at)
    )
    rows = connection.execute(seen).all()
    windows = set()
    for metric, tenant_id, at in rows:
        windows.add(Marked(metric, tenant_id, "hour", *calendars.of(tenant_id).window("hour", at)))
        windows.add(Marked(metric, ALL, "hour", *calendars.of(ALL).window("hour", at)))
    mark(connection, windows, now)
    return len(rows)


def _roll(connection: Connection, level: Level, now: datetime) -> int:
    calendars = Calendars.read(connection)
    marked = take(connection, level.resolution, WINDOWS_TOGETHER)
    kinds: dict[str, str] = dict(connection.execute(select(measured_metrics.c.name, measured_metrics.c.kind)).all())
    if level.parts is None:
        _make_of_measurements(connection, marked, kinds, now)
    else:
        _make_of_parts(connection, level, marked, kinds)
    if level.whole is not None:
        wholes = (
            Marked(
                one.metric, one.tenant_id, level.whole, *calendars.of(one.tenant_id).window(level.whole, one.begins_at)
            )
            for one in marked
        )
        mark(connection, wholes, now)
    return len(marked)


def _make_of_measurements(
    connection: Connection, marked: Sequence[Marked], kinds: Mapping[str, str], now: datetime
) -> None:
    uptime = [one for one in marked if one.metric == EVENTLESS]
    if uptime:
        SUM_UPTIME.run(connection, (one._asdict() | {"now": to_us(now)} for one in uptime))
    measured = [one for one in marked if one.metric != EVENTLESS]
    of_tenants = [one for one in measured if one.tenant_id != ALL]
    if of_tenants:
        SUM_MEASUREMENTS.run(connection, (one._asdict() for one in of_tenants))
    if valued := [one for one in of_tenants if kinds.get(one.metric) == "values"]:
        _store_counted(connection, COUNT_BUCKETS.run(connection, (one._asdict() for one in valued)))
    for metric, stretch in _stretches(one for one in measured if one.tenant_id == ALL):
        sum_hours_of_all(connection, metric, *stretch)
        if kinds.get(metric) == "values":
            counted = count_buckets_of_all(connection, metric, *stretch)
            _store_counted(connection, ((metric, ALL, *row) for row in counted))


def _stretches(marked: Iterable[Marked]) -> Iterator[tuple[str, Window]]:
    """Windows of one metric that follow each other, as one."""
    last: Marked | None = None
    begins_at = 0
    for one in sorted(marked):
        if last is not None and (last.metric, last.ends_at) != (one.metric, one.begins_at):
            yield last.metric, Window(begins_at, last.ends_at)
            last = None
        begins_at = one.begins_at if last is None else begins_at
        last = one
    if last is not None:
        yield last.metric, Window(begins_at, last.ends_at)


def _store_counted(connection: Connection, rows: Iterable[Sequence[Any]]) -> None:
    """Rows of metric, tenant, beginning, bucket and number."""
    counted: defaultdict[tuple[Any, ...], list[tuple[int | None, int]]] = defaultdict(list)
    for *key, bucket, n in rows:
        counted[tuple(key)].append((bucket, n))
    _store(connection, "hour", {key: sketch.pack(buckets) for key, buckets in counted.items()})


def _make_of_parts(connection: Connection, level: Level, marked: Sequence[Marked], kinds: Mapping[str, str]) -> None:
    if marked:
        SUM_PARTS.run(connection, (one._asdict() | {"parts": level.parts} for one in marked))
    if valued := [one for one in marked if kinds.get(one.metric) == "values"]:
        parts: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
        for *key, part in SKETCHES_OF_PARTS.run(connection, (one._asdict() | {"parts": level.parts} for one in valued)):
            parts[tuple(key)].append(part)
        _store(connection, level.resolution, {key: sketch.merge(some) for key, some in parts.items()})


def _store(connection: Connection, resolution: str, sketches: Mapping[tuple[Any, ...], str]) -> None:
    rows = (
        {"metric": metric, "tenant_id": tenant_id, "resolution": resolution, "begins_at": begins_at, "sketch": packed}
        for (metric, tenant_id, begins_at), packed in sketches.items()
    )
    if sketches:
        STORE_SKETCHES.run(connection, rows)
