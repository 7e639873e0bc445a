"""By which time zone each tenant's windows are cut, and what becomes of them when that changes.

From the first midnight in the new zone on of which all measurements are still there, windows are cut by it, and added
up anew. Those before stay as they were, and the last of them ends at that midnight: so no moment is in two windows, or
in none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Self

from sqlalchemy import Connection, delete, insert, select

from lamplighter.core.clock import to_us
from lamplighter.families.analytics.marks import Marked, mark
from lamplighter.families.analytics.windows import RESOLUTIONS, Calendar, Zoned, midnight_after
from lamplighter.integrations.storage.analytics_tables import (
    measured_metrics,
    rollup_marks,
    rollups,
    tenant_zones,
)
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import tenants

_zone = tenant_zones.c


class Calendars:
    """The calendars of all tenants: those that never had another zone share that of UTC."""

    def __init__(self, zones: Mapping[str, Sequence[Zoned]]) -> None:
        self._utc = Calendar()
        self._others = {tenant_id: Calendar(some) for tenant_id, some in zones.items()}

    @classmethod
    def read(cls, connection: Connection) -> Self:
        """As they are now."""
        statement = select(_zone.tenant_id, _zone.since, _zone.zone)
        zones: defaultdict[str, list[Zoned]] = defaultdict(list)
        for tenant_id, since, zone in connection.execute(statement):
            zones[tenant_id].append(Zoned(since, zone))
        return cls(zones)

    def of(self, tenant_id: str) -> Calendar:
        """The calendar of a tenant."""
        return self._others.get(tenant_id, self._utc)


def calendar_of(connection: Connection, tenant_id: str) -> Calendar:
    """That of one tenant, for whom all need not be read."""
    zones = connection.execute(select(_zone.since, _zone.zone).where(_zone.tenant_id == tenant_id))
    return Calendar([Zoned(*row) for row in zones])


class Change(NamedTuple):
    """A tenant whose zone is another than its windows are cut by."""

    tenant_id: str
    zone: str


async def follow(database: Database, now: datetime, *, kept: timedelta) -> int:
    """Cut the windows of tenants anew whose zone was changed; returns how many these are. `kept`: for how long what was
    measured is there."""
    changes = await database.read(_changes)
    for change in changes:
        await database.write(partial(_cut_anew, change=change, now=now, kept=kept))
    return len(changes)


def _changes(connection: Connection) -> list[Change]:
    newest = select(_zone.tenant_id, _zone.zone).order_by(_zone.since)
    cut_by = dict(connection.execute(newest).all())
    wanted = select(tenants.c.id, tenants.c.time_zone).where(
        tenants.c.time_zone.is_not(None) | tenants.c.id.in_(select(_zone.tenant_id))
    )
    rows = connection.execute(wanted)
    return [Change(id_, zone or "UTC") for id_, zone in rows if cut_by.get(id_, "UTC") != (zone or "UTC")]


def _cut_anew(connection: Connection, change: Change, now: datetime, kept: timedelta) -> None:
    since = midnight_after(to_us(now - kept), change.zone)
    of_tenant = _zone.tenant_id == change.tenant_id
    connection.execute(delete(tenant_zones).where(of_tenant, _zone.since >= since))
    connection.execute(insert(tenant_zones).values(tenant_id=change.tenant_id, since=since, zone=change.zone))
    for table in (rollups, rollup_marks):
        connection.execute(delete(table).where(table.c.tenant_id == change.tenant_id, table.c.ends_at > since))
    mark(connection, _touched(connection, change.tenant_id, since, now), now)


def _touched(connection: Connection, tenant_id: str, since: int, now: datetime) -> Iterator[Marked]:
    """What the change leaves without a rollup: all that comes after it, and what it cuts short."""
    calendar = calendar_of(connection, tenant_id)
    hours = [*calendar.windows("hour", since, to_us(now) + 1)]
    for metric in connection.execute(select(measured_metrics.c.name)).scalars():
        for resolution in RESOLUTIONS:
            yield Marked(metric, tenant_id, resolution, *calendar.window(resolution, since - 1))
        yield from (Marked(metric, tenant_id, "hour", *hour) for hour in hours)
