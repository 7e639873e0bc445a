"""What a host has measured: what happened, or a value, each under an id by which it is counted once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import Connection

from lamplighter.core.clock import Clock, to_us
from lamplighter.families.analytics.level import ALL
from lamplighter.families.analytics.sketch import MOST, bucket_of
from lamplighter.integrations.measuring.measure import Measurement, put
from lamplighter.integrations.measuring.metric import OURS, BadMetric, Kind, find
from lamplighter.integrations.storage.database import Database
from lamplighter.observe.meter import Meter

LONGEST_ID = 200  # characters
AHEAD = timedelta(hours=1)  # that a clock may go before ours
MOST_COUNTED = 2**53


class Happened(NamedTuple):
    """One measurement of a host. `value`: how many, or how much. No `at`: now; no `id`: it is told only once."""

    metric: str
    tenant: str | None = None
    value: float = 1
    at: datetime | None = None
    id: str | None = None


class Analytics:
    """Takes measurements of metrics that are declared, for as long as they may be late."""

    def __init__(self, database: Database, *, clock: Clock, kept: timedelta, meter: Meter) -> None:
        self._database = database
        self._clock = clock
        self._kept = kept
        self._meter = meter

    async def count(
        self, metric: str, n: int = 1, *, tenant: str | None = None, at: datetime | None = None, id_: str | None = None
    ) -> bool:
        """Count `n` of something; False if it was known by its id, or comes too late. Raises BadMetric."""
        return await self.add([Happened(metric, tenant, n, at, id_)], kind="count") == 1

    async def observe(
        self,
        metric: str,
        value: float,
        *,
        tenant: str | None = None,
        at: datetime | None = None,
        id_: str | None = None,
    ) -> bool:
        """Measure a value from 0 to 1e15; False if it was known by its id, or comes too late. Raises BadMetric."""
        return await self.add([Happened(metric, tenant, value, at, id_)], kind="values") == 1

    async def add(self, happened: Sequence[Happened], *, kind: Kind | None = None) -> int:
        """Take many; returns how many were new. `kind`: what their metrics are to be. Raises BadMetric."""
        return await self._database.write(lambda connection: self.add_within(connection, happened, kind=kind))

    def add_within(self, connection: Connection, happened: Sequence[Happened], *, kind: Kind | None = None) -> int:
        """The same in the transaction of what happened, on a connection of the service's database.

        await service.database.write(lambda connection: analytics.add_within(connection, [Happened(...)]))
        """
        now = self._clock()
        checked = [_checked(one, kind, now) for one in happened]
        rows = [one for one in checked if one.at >= to_us(now - self._kept)]
        if late := len(checked) - len(rows):
            self._meter.measured_late(late)
        return put(connection, rows, now)


def _checked(one: Happened, kind: Kind | None, now: datetime) -> Measurement:
    metric, value = find(one.metric), float(one.value)
    if metric.name.startswith(OURS):
        raise BadMetric(f"{metric.name} is measured by Lamplighter itself: declare a metric of your own.")
    if kind not in {None, metric.kind}:
        raise BadMetric(f"{metric.name} is declared as {metric.kind}: {_VERBS[metric.kind]} it.")
    most = MOST_COUNTED if metric.kind == "count" else MOST
    if not math.isfinite(value) or not 0 <= value <= most or (metric.kind == "count" and not value.is_integer()):
        what = "a whole number" if metric.kind == "count" else "a number"
        raise BadMetric(f"{metric.name} cannot be {one.value!r:.40}: give {what} from 0 to {most:g}.")
    if one.at is not None and (one.at.tzinfo is None or one.at > now + AHEAD):
        raise BadMetric(f"{metric.name} cannot have happened at {one.at}: give a moment with its zone, that has been.")
    id_, tenant = one.id or uuid4().hex, one.tenant or ""
    for text, called in ((id_, "id"), (tenant, "tenant")):
        if len(text) > LONGEST_ID or not (text == "" or text.isprintable()) or text == ALL:
            raise BadMetric(f"the {called} of {metric.name} cannot be: give at most {LONGEST_ID} printable characters.")
    bucket = bucket_of(value) if metric.kind == "values" else None
    return Measurement(metric.name, id_, tenant, to_us(one.at or now), value, bucket)


_VERBS = {"count": "count", "values": "observe"}
