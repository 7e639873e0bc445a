"""Jobs and queues as people see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.core.flow_control import Gate, GateRule, GateView, ShareView, Turned
from lamplighter.core.log_line import LogLine
from lamplighter.core.model import (
    Added,
    Children,
    Claimed,
    EndedJob,
    Failure,
    JobView,
    NewJob,
    QueueStats,
    Record,
    State,
    Unique,
)
from lamplighter.store.carried import parted
from lamplighter.store.rules import queue_full, read_rule

_MOMENTS = ("run_at", "created_at", "started_at", "lease_until", "ended_at", "keep_until")
Row = Mapping[str, Any]


def added(jobs: Sequence[NewJob], refused: Sequence[Any]) -> list[Added]:
    """What became of new jobs.

    Raises:
        QueueFull: nothing was added, for it would have broken a bound.
    """
    if refused and refused[0][3] is not None:
        raise queue_full(*msgspec.json.decode(refused[0][3]))
    answers = {job: Added(holder, created=False, replaced=replaced) for job, holder, replaced, _ in map(tuple, refused)}
    return [answers.get(job.id) or Added(job.id, created=True) for job in jobs]


def claimed(rows: Iterable[Row]) -> list[Claimed]:
    """Attempts, in order; what is no job says that there may be more."""
    return [_claimed(row) for row in rows if row["id"] is not None]


def _claimed(row: Row) -> Claimed:
    args, trace = parted(row["args"])
    moments = {"run_at": from_us(row["run_at"]), "created_at": from_us(row["created_at"])}
    return Claimed(**{**row, **moments, "args": args}, trace=trace)


def view(row: Row) -> JobView:
    """One job."""
    named = dict(row)
    named["args"], named["trace"] = parted(named["args"])
    for moment in _MOMENTS:
        named[moment] = maybe_from_us(named[moment])
    key, mode, until = (named.pop(column) for column in ("unique_key", "unique_mode", "unique_until"))
    named["group"], counted = named.pop("child_of"), named["children"]
    named["children"] = None if counted is None else msgspec.json.decode(counted, type=Children)
    named["unique"] = None if key is None else Unique(key, mode, maybe_from_us(until))
    return JobView(**{**named, "state": State(named["state"]), "limits": tuple(named["limits"] or ())})


def ended(rows: Iterable[Row]) -> list[EndedJob]:
    """How jobs ended."""
    return [EndedJob(**{**row, "state": State(row["state"])} | _moments_of(row)) for row in rows]


def _moments_of(row: Row) -> dict[str, Any]:
    return {name: maybe_from_us(row[name]) for name in ("run_at", "created_at", "started_at", "ended_at")}


def failures(rows: Iterable[Row]) -> list[Failure]:
    """Why attempts failed."""
    return [Failure(**{**row, "at": from_us(row["at"])}) for row in rows]


def log_lines(rows: Iterable[Row]) -> list[LogLine]:
    """What a job logged."""
    return [LogLine(**{**row, "at": from_us(row["at"])}) for row in rows]


def stats(rows: Iterable[Row]) -> list[QueueStats]:
    """Counts by queue; the rows are by queue and state."""
    counts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        counts[row["queue"]]["paused"] = row["paused"]
        if row["state"] is not None:
            counts[row["queue"]][row["state"]] = row["n"]
        if row["oldest"] is not None:
            counts[row["queue"]]["oldest"] = from_us(row["oldest"])
    return [QueueStats(queue=queue, **counts[queue]) for queue in sorted(counts)]


def records(kind: str, rows: Iterable[Row]) -> list[Record]:
    """Records of one kind."""
    return [
        Record(kind=kind, name=row["name"], value=row["value"], expires_at=maybe_from_us(row["expires_at"]))
        for row in rows
    ]


def gates(rows: Iterable[Row], now: int) -> list[GateView]:
    """Gates with their rules."""
    return [_gate(dict(row), now) for row in rows]


def shares(rows: Iterable[Row]) -> list[ShareView]:
    """Lines of tenants."""
    return [ShareView(**row) for row in rows]


def turned(told: str) -> tuple[Turned, ...]:
    """Breakers that opened or closed."""
    return tuple(Turned(key, opened) for key, opened in msgspec.json.decode(told))


def _gate(row: dict[str, Any], now: int) -> GateView:
    rule, waiting = read_rule(row.pop("rule"), GateRule), row.pop("waiting")
    gate = Gate(**{name: value for name, value in row.items() if value is not None})
    return gate.view(rule, waiting, now)
