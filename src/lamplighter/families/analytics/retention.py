"""Forgetting: what was measured soon, hours later, days later still; each as long as the settings say.

What is measured is kept for a day longer than it is taken, and rollups for longer than what they are made of (the
settings allow nothing else): so what is still taken finds its whole hour, and its hour its whole day and month.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Delete, Select, delete, func, select, tuple_

from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.families.analytics.windows import Resolution
from lamplighter.integrations.storage.analytics_tables import measurements, rollup_holes, rollup_marks, rollups
from lamplighter.integrations.storage.database import Database

BATCH = 500  # rows in one transaction
LONGER = timedelta(days=1)
HOUR = 3_600_000_000  # microseconds

_measured = measurements.c
_rollup = rollups.c


class Kept(NamedTuple):
    """For how long what is kept. `raw`: how late something may be told, and still count."""

    raw: timedelta
    hour: timedelta
    day: timedelta
    month: timedelta

    @classmethod
    def by(cls, settings: Settings) -> Kept:
        """As the settings say."""
        return cls(settings.keep_measurements, settings.keep_hourly, settings.keep_daily, settings.keep_monthly)

    def of(self, resolution: Resolution) -> timedelta:
        """Of a resolution."""
        return {"hour": self.hour, "day": self.day, "month": self.month}[resolution]


class Forgotten(NamedTuple):
    """How many rows went."""

    measurements: int
    hours: int
    days: int
    months: int


async def forget(database: Database, kept: Kept, now: datetime) -> Forgotten:
    """Delete what is too old. What is not added up yet stays."""
    measured, before = 0, await database.read(partial(_settled, before=to_us(now - kept.raw - LONGER)))
    async for metric in _metrics(database):
        old = (_measured.metric == metric) & (_measured.at < before)
        some = select(_measured.seq).where(old).limit(BATCH)
        measured += await _empty(database, delete(measurements).where(_measured.seq.in_(some)))
    await database.write(
        lambda connection: (
            connection.execute(delete(rollup_holes).where(rollup_holes.c.until < to_us(now - kept.day))).rowcount
        )
    )
    return Forgotten(
        measured,
        await _forget_rollups(database, "hour", now - kept.hour),
        await _forget_rollups(database, "day", now - kept.day),
        await _forget_rollups(database, "month", now - kept.month),
    )


def _settled(connection: Connection, before: int) -> int:
    """That moment, or an earlier one: an hour that is still to be made, of whatever is in it, is left whole."""
    new = select(func.min(_measured.at)).where(_measured.is_new)
    marked = select(func.min(rollup_marks.c.begins_at)).where(rollup_marks.c.resolution == "hour")
    waiting: list[int | None] = [connection.execute(new).scalar(), connection.execute(marked).scalar()]
    return min([before, *(at - HOUR for at in waiting if at is not None)])


async def _metrics(database: Database) -> AsyncIterator[str]:
    """Those that something was measured of, found by leaps: there are few of them, and very many rows."""
    last = ""
    while True:
        following = select(func.min(_measured.metric)).where(_measured.metric > last)
        found = await database.read(partial(_scalar, statement=following))
        if found is None:
            return
        yield found
        last = found


def _scalar(connection: Connection, statement: Select[Any]) -> str | None:
    found: str | None = connection.execute(statement).scalar()
    return found


async def _forget_rollups(database: Database, resolution: Resolution, before: datetime) -> int:
    key = (_rollup.metric, _rollup.tenant_id, _rollup.resolution, _rollup.begins_at)
    old = (_rollup.resolution == resolution) & (_rollup.begins_at < to_us(before))
    some = select(*key).where(old & (_rollup.ends_at <= to_us(before))).limit(BATCH)
    return await _empty(database, delete(rollups).where(tuple_(*key).in_(some)))


async def _empty(database: Database, statement: Delete) -> int:
    total = 0
    while gone := await database.write(lambda connection: connection.execute(statement).rowcount):
        total += gone
    return total
