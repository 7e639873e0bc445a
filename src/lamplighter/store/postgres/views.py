"""Jobs and queues as people see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.core.model import Children, Claimed, Failure, JobView, QueueStats, Record, State, Unique

_MOMENTS = ("run_at", "created_at", "started_at", "lease_until", "ended_at", "keep_until")
Row = Mapping[str, Any]


def claimed(rows: Iterable[Row]) -> list[Claimed]:
    """Attempts, the most urgent first."""
    found = [
        Claimed(**{**row, "run_at": from_us(row["run_at"]), "created_at": from_us(row["created_at"])}) for row in rows
    ]
    return sorted(found, key=lambda job: (-job.priority, job.run_at, job.id))


def view(row: Row) -> JobView:
    """One job."""
    named = dict(row)
    for moment in _MOMENTS:
        named[moment] = maybe_from_us(named[moment])
    key, mode, until = (named.pop(column) for column in ("unique_key", "unique_mode", "unique_until"))
    named["group"], counted = named.pop("child_of"), named["children"]
    named["children"] = None if counted is None else msgspec.json.decode(counted, type=Children)
    named["unique"] = None if key is None else Unique(key, mode, maybe_from_us(until))
    return JobView(**{**named, "state": State(named["state"])})


def failures(rows: Iterable[Row]) -> list[Failure]:
    """Why attempts failed."""
    return [Failure(**{**row, "at": from_us(row["at"])}) for row in rows]


def stats(rows: Iterable[Row]) -> list[QueueStats]:
    """Counts by queue; the rows are by queue and state."""
    counts: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        counts[row["queue"]]["paused"] = row["paused"]
        if row["state"] is not None:
            counts[row["queue"]][row["state"]] = row["n"]
    return [QueueStats(queue=queue, **counts[queue]) for queue in sorted(counts)]


def records(kind: str, rows: Iterable[Row]) -> list[Record]:
    """Records of one kind."""
    return [
        Record(kind=kind, name=row["name"], value=row["value"], expires_at=maybe_from_us(row["expires_at"]))
        for row in rows
    ]
