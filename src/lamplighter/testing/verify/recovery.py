"""How long it took until what a fault had interrupted went on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from msgspec import Struct

from lamplighter.testing.verify.check import doubled
from lamplighter.testing.verify.history import Attempt, Fault, History


class Recovery(Struct, frozen=True, kw_only=True):
    """The faults of one kind. Seconds are from a fault's beginning until each job that it met had ended or begun
    again; None where it met none."""

    kind: str
    injected: int
    running: int
    doubled: int
    median_s: float | None
    max_s: float | None


def recoveries(history: History) -> list[Recovery]:
    """What is to be told of each kind of fault, by name."""
    by_kind: defaultdict[str, list[Fault]] = defaultdict(list)
    for fault in history.faults:
        by_kind[fault.kind].append(fault)
    twice = [one.excuse.kind for one in doubled(history) if one.excuse]
    return [_recovery(history, kind, faults, twice.count(kind)) for kind, faults in sorted(by_kind.items())]


def _recovery(history: History, kind: str, faults: list[Fault], twice: int) -> Recovery:
    waits = [list(_waits(history, fault)) for fault in faults]
    longest = [max(some) for some in waits if some]
    return Recovery(
        kind=kind,
        injected=len(faults),
        running=sum(map(len, waits)),
        doubled=twice,
        median_s=round(median(longest), 2) if longest else None,
        max_s=round(max(longest), 2) if longest else None,
    )


def _waits(history: History, fault: Fault) -> Iterator[float]:
    """For each attempt that ran when the fault came, how long until it had ended or another had begun."""
    for attempts in history.attempts.values():
        for attempt, successor in pairwise([*attempts, None]):
            if attempt is not None and _ran_at(attempt, fault):
                again = None if successor is None else successor.begun or successor.claimed
                after = [moment for moment in (attempt.settled, again) if moment is not None and moment >= fault.at]
                if after and not _is_long(history, attempt):
                    yield min(after) - fault.at


def _ran_at(attempt: Attempt, fault: Fault) -> bool:
    is_over = attempt.settled is not None and attempt.settled < fault.at
    return attempt.claimed <= fault.at and not is_over and fault.hits(attempt.who, fault.at, fault.at)


def _is_long(history: History, attempt: Attempt) -> bool:
    """Those that run for long anyway would be taken for slow to recover."""
    line = history.acknowledged.get(attempt.job)
    return line is not None and history.task(line.number).kind in {"long", "block"}
