"""How long it took until what a fault had interrupted went on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from msgspec import Struct

from lamplighter.testing.verify.check import doubled
from lamplighter.testing.verify.history import Attempt, Fault, History


class Recovery(Struct, frozen=True, kw_only=True):
    """The faults of one kind. Seconds are from a fault's beginning until each job that it met had ended, or was
    free for another worker; None where it met none."""

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
    """For each attempt that ran when the fault came, how long until it had ended or the store had rescued its job."""
    for job, attempts in history.attempts.items():
        for attempt in attempts:
            if _ran_at(attempt, fault) and not _is_long(history, attempt):
                moments = (attempt.settled, history.rescues.get((job, attempt.fence)))
                after = [moment - fault.at for moment in moments if moment is not None and moment >= fault.at]
                if after:
                    yield min(after)


def _ran_at(attempt: Attempt, fault: Fault) -> bool:
    is_over = attempt.settled is not None and attempt.settled < fault.at
    return attempt.claimed <= fault.at and not is_over and fault.hits(attempt.who, fault.at, fault.at)


def _is_long(history: History, attempt: Attempt) -> bool:
    """Those that run for long anyway would be taken for slow to recover."""
    line = history.acknowledged.get(attempt.job)
    return line is not None and history.task(line.number).kind in {"long", "block"}
