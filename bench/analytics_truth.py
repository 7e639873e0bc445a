"""What rollups should come to, worked out in another way: from all events in memory, by what the tenants' clocks show.

Nothing here knows of windows. Each event is put under what a clock on the tenant's wall shows at its moment: the date,
the hour, and by how much that clock is off from UTC, which tells the two hours of an autumn night apart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

ALL = "*"
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class Event(NamedTuple):
    """Something that happened to a tenant. `value`: how long it took."""

    id: str
    tenant: str
    at: datetime
    value: float


class Key(NamedTuple):
    """What a clock shows, as far as a resolution goes by it."""

    tenant: str
    resolution: str
    shown: str


@dataclass
class Sums:
    """What happened while a clock showed the same."""

    values: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.values)


def key_of(tenant: str, resolution: str, at: datetime, zone: ZoneInfo) -> Key:
    """Where a moment belongs."""
    shown = at.astimezone(zone)
    pattern = {"hour": "%Y-%m-%d %H %z", "day": "%Y-%m-%d", "month": "%Y-%m"}[resolution]
    return Key(tenant, resolution, shown.strftime(pattern))


def add_up(events: Iterable[Event], zones: Mapping[str, str]) -> dict[Key, Sums]:
    """All of them, each once by its id."""
    found: defaultdict[Key, Sums] = defaultdict(Sums)
    for event in {event.id: event for event in events}.values():
        for tenant, zone in ((event.tenant, zones[event.tenant]), (ALL, "UTC")):
            for resolution in ("hour", "day", "month"):
                found[key_of(tenant, resolution, event.at, ZoneInfo(zone))].values.append(event.value)
    return dict(found)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the others is; `values` in order."""
    return values[math.floor(share * (len(values) - 1))]


class Row(NamedTuple):
    """A rollup, as it is in the table, with its quantiles read."""

    tenant: str
    resolution: str
    begins_at: datetime
    ends_at: datetime
    number: int
    total: float
    least: float
    most: float
    quantiles: Mapping[str, float]


class Compared(NamedTuple):
    """How many windows were compared, which differ and why, and the greatest relative error of a quantile."""

    windows: int
    differing: list[str]
    worst: float


def compare(rows: Iterable[Row], truth: Mapping[Key, Sums], zones: Mapping[str, str]) -> Compared:
    """Each rollup with what happened while the clock showed the same; none may be missing, or too many."""
    left, differing, worst, windows = dict(truth), [], 0.0, 0
    for row in rows:
        windows += 1
        zone = ZoneInfo("UTC" if row.tenant == ALL else zones[row.tenant])
        key = key_of(row.tenant, row.resolution, row.begins_at, zone)
        sums = left.pop(key, None)
        if sums is None:
            differing.append(f"{key}: it is there twice, or nothing happened then")
            continue
        values = sorted(sums.values)
        differing += (f"{key}: {what}" for what in _wrong(row, values))
        for name, share in SHARES.items():
            exact = quantile(values, share)
            worst = max(worst, abs(row.quantiles[name] - exact) / exact)
    differing += (f"{key}: it is missing" for key in left)
    return Compared(windows, differing, worst)


def _wrong(row: Row, values: Sequence[float]) -> Iterator[str]:
    if row.number != len(values):
        yield f"{row.number} instead of {len(values)}"
    if not math.isclose(row.total, math.fsum(values), rel_tol=1e-9):
        yield f"a sum of {row.total} instead of {math.fsum(values)}"
    if (row.least, row.most) != (values[0], values[-1]):
        yield f"from {row.least} to {row.most} instead of from {values[0]} to {values[-1]}"
    if row.ends_at <= row.begins_at:
        yield "it ends before it begins"


def overlaps(rows: Iterable[Row]) -> list[str]:
    """Windows of one tenant and resolution in which a moment would be twice."""
    found, last = [], {}  # type: ignore[var-annotated]  # by tenant and resolution
    for row in sorted(rows, key=lambda row: (row.tenant, row.resolution, row.begins_at)):
        before = last.get((row.tenant, row.resolution))
        if before is not None and before.ends_at > row.begins_at:
            found.append(f"{before.tenant} {before.resolution}: {before.ends_at} is after {row.begins_at}")
        last[row.tenant, row.resolution] = row
    return found


def moment(text: str) -> datetime:
    """Written in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
