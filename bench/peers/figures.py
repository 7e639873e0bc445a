"""What was measured, as the JSON file has it, and the ratios that it comes to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class Kind(NamedTuple):
    """One figure. `more`: whether more of it is better. `least`: what a measurement of it cannot tell from less."""

    key: str
    label: str
    unit: str
    more: bool
    least: float = 0.0


RATES = (
    Kind("one_by_one_per_s", "enqueue one by one", "/s", more=True),
    Kind("side_by_side_per_s", "enqueue side by side", "/s", more=True),
    Kind("bulk_per_s", "enqueue in bulk", "/s", more=True),
    Kind("drain_per_s", "drain", "/s", more=True),
    Kind("due_per_s", "drain of what came due at once", "/s", more=True),
)
WAITS = (
    Kind("pickup_p50_ms", "pickup, p50", "ms", more=False),
    Kind("pickup_p99_ms", "pickup, p99", "ms", more=False),
    Kind("due_first_late_s", "first of what came due, late by", "s", more=False, least=0.001),
    Kind("memory_mb", "memory of the worker", "MB", more=False),
)
KINDS = (*RATES, *WAITS)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One subject: the figures that it has, of each round; none of a round in which it failed."""

    key: str
    label: str
    store: str
    setup: str
    ours: bool
    version: str = ""
    rounds: list[dict[str, float]] = msgspec.field(default_factory=list)
    failed: str | None = None

    def values(self, kind: Kind) -> list[float]:
        """Of the rounds in which it was measured."""
        return [one[kind.key] for one in self.rounds if kind.key in one]

    @property
    def ran(self) -> bool:
        """Whether there is a round with figures."""
        return any(self.rounds)


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All of one run."""

    measured: str
    machine: dict[str, str]
    plan: dict[str, float]
    rows: list[Row]

    def of(self, store: str) -> list[Row]:
        """Those on one store, ours first, in the order of how fast they drain; last those that could not run."""
        drain = RATES[3]
        rows = [row for row in self.rows if row.store == store]
        return sorted(rows, key=lambda row: (not row.ours, -(spread(row.values(drain)) or NOTHING).median))


class Spread(NamedTuple):
    """Of several rounds."""

    median: float
    least: float
    most: float


NOTHING = Spread(0, 0, 0)


def spread(values: Sequence[float]) -> Spread | None:
    """None of no values."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def times_better(kind: Kind, ours: Row, theirs: Row) -> Spread | None:
    """How many times better ours is, round by round: less than one where they are better. None where they have none."""
    pairs = zip(ours.rounds, theirs.rounds, strict=False)
    both = [(one[kind.key], other[kind.key]) for one, other in pairs if kind.key in one and kind.key in other]
    return spread([_ratio(kind, _off(kind, one), _off(kind, other)) for one, other in both])


def _off(kind: Kind, value: float) -> float:
    """What begins before it is due is as wrong as what begins late."""
    return max(abs(value), kind.least)


def _ratio(kind: Kind, ours: float, theirs: float) -> float:
    return ours / theirs if kind.more else theirs / ours


def written(results: Results) -> bytes:
    """As a file, with numbers no longer than they mean."""
    rows = [
        msgspec.structs.replace(row, rounds=[{key: _short(value) for key, value in one.items()} for one in row.rounds])
        for row in results.rows
    ]
    return msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(results, rows=rows)), indent=1) + b"\n"


def _short(value: float) -> float:
    return float(f"{value:.4g}")
