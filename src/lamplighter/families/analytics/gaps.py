"""Gaps: windows that should have a rollup and do not, or whose rollup is not what it is made of.

An hour should have what was measured in it, a day what its hours have, a month what its days have. Besides, there are
times in which nobody looked at the jobs: what ended then, and was forgotten before somebody looked again, is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from functools import partial

from msgspec import Struct
from sqlalchemy import BigInteger, Connection, Text, and_, func, select

from lamplighter.core.clock import from_us, to_us
from lamplighter.families.analytics.level import ALL, LEVELS
from lamplighter.families.analytics.marks import Marked, mark
from lamplighter.families.analytics.windows import Resolution, Window
from lamplighter.families.analytics.zones import Calendars
from lamplighter.integrations.storage.analytics_tables import measurements, rollup_holes, rollup_marks, rollups
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.many import Columns, Read

MOST = 10_000  # that are found at a time

_measured = measurements.c
_rollup = rollups.c


class Gap(Struct, frozen=True, kw_only=True, rename="camel"):
    """A window whose rollup is missing or wrong. `has`: how much is added up there (None: there is none); `should`: how
    much is known."""

    metric: str
    tenant: str
    resolution: Resolution
    begins_at: datetime
    ends_at: datetime
    has: int | None
    should: int


class Hole(Struct, frozen=True, kw_only=True, rename="camel"):
    """A time in which nobody looked at a source."""

    source: str
    since: datetime
    until: datetime


class Found(Struct, frozen=True, kw_only=True):
    """What is missing. `is_cut`: there may be more."""

    gaps: list[Gap]
    holes: list[Hole]
    is_cut: bool = False


_KEY: Columns = {"metric": Text(), "tenant_id": Text(), "begins_at": BigInteger(), "ends_at": BigInteger()}
_ROLLED = Read(
    {**_KEY, "resolution": Text()},
    lambda given: select(given.c.metric, given.c.tenant_id, given.c.begins_at, _rollup.count).join(
        rollups,
        and_(
            _rollup.metric == given.c.metric,
            _rollup.tenant_id == given.c.tenant_id,
            _rollup.resolution == given.c.resolution,
            _rollup.begins_at == given.c.begins_at,
        ),
    ),
)


async def find_gaps(database: Database, since: datetime, until: datetime, *, raw_since: datetime) -> Found:
    """Those in a time. Windows that are still to be made are none. `raw_since`: from when on all that was measured is
    still there: hours before are compared with nothing."""
    gaps: list[Gap] = []
    for level in LEVELS:
        begins = max(since, raw_since) if level.parts is None else since
        work = partial(_of_level, resolution=level.resolution, parts=level.parts, since=begins, until=until)
        gaps += await database.read(work)
        if len(gaps) >= MOST:
            break
    holes = await database.read(partial(_holes, since=since, until=until))
    return Found(gaps=gaps[:MOST], holes=holes, is_cut=len(gaps) >= MOST)


async def refill(database: Database, gaps: list[Gap], now: datetime) -> int:
    """Have them made anew by the next rollup; returns how many."""
    windows = [Marked(one.metric, one.tenant, one.resolution, to_us(one.begins_at), to_us(one.ends_at)) for one in gaps]
    return await database.write(lambda connection: mark(connection, windows, now))


def _of_level(
    connection: Connection, resolution: Resolution, parts: Resolution | None, since: datetime, until: datetime
) -> list[Gap]:
    should = _should(connection, resolution, parts, to_us(since), to_us(until))
    waiting = _waiting(connection, resolution)
    rows = (
        {"metric": metric, "tenant_id": tenant_id, "resolution": resolution, **window._asdict()}
        for metric, tenant_id, window in should
    )
    has = {(metric, tenant_id, begins_at): n for metric, tenant_id, begins_at, n in _ROLLED.run(connection, rows)}
    found = (
        _gap(Marked(metric, tenant_id, resolution, *window), has.get((metric, tenant_id, window.begins_at)), n)
        for (metric, tenant_id, window), n in sorted(should.items())
        if has.get((metric, tenant_id, window.begins_at)) != n and (metric, tenant_id, window.begins_at) not in waiting
    )
    return [gap for gap, _ in zip(found, range(MOST), strict=False)]


def _should(
    connection: Connection, resolution: Resolution, parts: Resolution | None, since: int, until: int
) -> dict[tuple[str, str, Window], int]:
    """What each window is to have. Those that are cut by the time are looked at whole, or left out."""
    calendars = Calendars.read(connection)
    should: defaultdict[tuple[str, str, Window], int] = defaultdict(int)
    for metric, tenant_id, at, n in _known(connection, parts, since, until):
        for whose in (tenant_id, ALL) if parts is None else (tenant_id,):
            window = calendars.of(whose).window(resolution, at)
            should[metric, whose, window] += n
    return {key: n for key, n in should.items() if key[2].begins_at >= since and key[2].ends_at <= until}


def _known(
    connection: Connection, parts: Resolution | None, since: int, until: int
) -> Iterator[tuple[str, str, int, int]]:
    """Metrics, tenants, moments, and how much there is: of each minute, or of each window that others are made of."""
    if parts is None:
        minute = (_measured.at - _measured.at % 60_000_000).label("minute")
        statement = (
            select(_measured.metric, _measured.tenant_id, minute, func.count())
            .where(_measured.at >= since, _measured.at < until, ~_measured.is_new)
            .group_by(_measured.metric, _measured.tenant_id, minute)
        )
    else:
        statement = select(_rollup.metric, _rollup.tenant_id, _rollup.begins_at, _rollup.count).where(
            _rollup.resolution == parts, _rollup.begins_at >= since, _rollup.begins_at < until
        )
    yield from connection.execute(statement)


def _waiting(connection: Connection, resolution: Resolution) -> set[tuple[str, str, int]]:
    mark_ = rollup_marks.c
    statement = select(mark_.metric, mark_.tenant_id, mark_.begins_at).where(mark_.resolution == resolution)
    return set(connection.execute(statement))


def _gap(window: Marked, has: int | None, should: int) -> Gap:
    return Gap(
        metric=window.metric,
        tenant=window.tenant_id,
        resolution=window.resolution,
        begins_at=from_us(window.begins_at),
        ends_at=from_us(window.ends_at),
        has=has,
        should=should,
    )


def _holes(connection: Connection, since: datetime, until: datetime) -> list[Hole]:
    hole = rollup_holes.c
    statement = select(hole.source, hole.since, hole.until).where(hole.until > to_us(since), hole.since < to_us(until))
    rows = connection.execute(statement.order_by(hole.since))
    return [Hole(source=source, since=from_us(since_), until=from_us(until_)) for source, since_, until_ in rows]
