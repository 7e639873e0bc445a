"""All that is known of a run when it is over. Whether promises held follows from it alone: see `check.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from msgspec import Struct

from lamplighter.core.model import JobView
from lamplighter.testing.verify.lines import Line
from lamplighter.testing.verify.tasks import Task, blocking, task

DRIFT = 0.05  # seconds that a wall clock may be off, or set by, while jobs wait


class Fault(Struct, frozen=True, kw_only=True):
    """One fault: from when to when (monotonic), and which processes it hit (none named: all).

    `excuses`: whether a job that ran meanwhile may have its effect once more. `loses`: seconds before it whose writes
    the store may have lost.
    """

    kind: str
    at: float
    until: float
    hit: tuple[str, ...] = ()
    excuses: bool = True
    loses: float = 0.0

    def hits(self, who: str, since: float, until: float) -> bool:
        """Whether it met that process during that time."""
        return (not self.hit or who in self.hit) and self.at <= until and since <= self.until


class Found(Struct, frozen=True, kw_only=True):
    """What the store holds at the end. `keys`: whether each unique key that was asked for is free.

    `rescues`: when (wall clock) the store took an attempt, by job and fence, from a worker that had lost it.
    `leftovers`: sentences about what should not be there any more. `ended_alone`: processes that ended unasked.
    """

    views: Sequence[JobView]
    keys: Mapping[str, bool]
    rescues: Mapping[tuple[str, int], float] = MappingProxyType({})
    leftovers: Sequence[str] = ()
    ended_alone: Sequence[str] = ()


class Attempt(Struct):
    """One attempt at a job, as its worker told it. Moments are monotonic; None: that was never told."""

    job: str
    fence: int
    who: str
    claimed: float
    begun: float | None = None
    ended: float | None = None
    asked: float | None = None
    settled: float | None = None
    verb: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the store accepted an end for good."""
        return self.settled is not None and self.verb in {"done", "fail", "cancel"}


class History:
    """Lines, faults and findings, in the shapes that the checks look at."""

    def __init__(
        self,
        *,
        seed: int,
        jobs: int,
        lease: float,
        lines: Iterable[Line],
        faults: Sequence[Fault],
        found: Found,
        drift: float = DRIFT,
    ) -> None:
        self.seed = seed
        self.jobs = jobs
        self.lease = lease
        self.lines = list(lines)
        self.faults = faults
        self.found = found
        self.drift = drift

    def task(self, number: int) -> Task:
        """The task of that number; those past the workload's are of the fault `block`."""
        return task(self.seed, number, self.lease) if number < self.jobs else blocking(number, self.lease)

    @cached_property
    def views(self) -> dict[str, JobView]:
        """The jobs that the store holds, by id."""
        return {view.id: view for view in self.found.views}

    @cached_property
    def acknowledged(self) -> dict[str, Line]:
        """The jobs that the store said it had added, by id."""
        return {line.job: line for line in self.lines if line.what == "added"}

    @cached_property
    def withdrawn(self) -> set[str]:
        """The jobs whose transaction was rolled back."""
        return {line.job for line in self.lines if line.what == "withdrawn"}

    @cached_property
    def unwanted(self) -> set[str]:
        """The jobs that an operator cancelled, or meant to."""
        return {line.job for line in self.lines if line.what == "unwanted"}

    @cached_property
    def attempts(self) -> dict[str, list[Attempt]]:
        """The attempts at each job, in the order of their fences."""
        made: dict[tuple[str, int], Attempt] = {}
        for line in self.lines:
            if line.what in {"claimed", "begin", "end", "finished"}:
                _tell(made.setdefault((line.job, line.fence), Attempt(line.job, line.fence, line.who, line.at)), line)
        by_job: defaultdict[str, list[Attempt]] = defaultdict(list)
        for _, attempt in sorted(made.items()):
            by_job[attempt.job].append(attempt)
        return dict(by_job)

    @cached_property
    def effects(self) -> dict[str, list[Line]]:
        """The effects of each job: lines that its handler wrote when it was through."""
        by_job: defaultdict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            if line.what == "end":
                by_job[line.job].append(line)
        return dict(by_job)

    @cached_property
    def stalls(self) -> list[Fault]:
        """Times when a worker stood still though nobody had asked for that: the machine was too busy."""
        return [
            Fault(kind="stall", at=line.since, until=line.at, hit=(line.who,))
            for line in self.lines
            if line.what == "stalled"
        ]

    @cached_property
    def rescues(self) -> dict[tuple[str, int], float]:
        """When (monotonic) the store took an attempt, by job and fence, from a worker that had lost it."""
        ahead = self.lines[0].real - self.lines[0].at if self.lines else 0.0
        return {attempt: real - ahead for attempt, real in self.found.rescues.items()}

    @cached_property
    def doubts(self) -> dict[int, int]:
        """How many jobs of each number may be there though the store never said so."""
        open_: defaultdict[int, int] = defaultdict(int)
        for line in self.lines:
            if line.what == "asked":
                open_[line.number] += 1
            elif line.what in {"added", "held", "withdrawn"}:
                open_[line.number] -= 1
        return dict(open_)

    def was_lost_with(self, moment: float) -> Fault | None:
        """The fault with which the store may have lost what it acknowledged at that moment."""
        losing = (fault for fault in self.faults if fault.loses)
        return next((fault for fault in losing if fault.at - fault.loses <= moment <= fault.until), None)


def _tell(attempt: Attempt, line: Line) -> None:
    match line.what:
        case "claimed":
            attempt.who, attempt.claimed = line.who, line.at
        case "begin":
            attempt.begun = line.at
        case "end":
            attempt.ended = line.at
        case _:
            attempt.asked, attempt.settled, attempt.verb = line.since, line.at, line.detail
