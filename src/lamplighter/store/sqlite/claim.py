"""Claiming: in rounds, line by line, past the gates (see `base.Store.claim`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from lamplighter.core.clock import from_us
from lamplighter.core.flow_control import MOST_PARKED
from lamplighter.core.model import Claimed
from lamplighter.store.carried import parted
from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, value
from lamplighter.store.sqlite.connection import Connection
from lamplighter.store.sqlite.flow_control import FlowControl
from lamplighter.store.sqlite.lines import Class, Lines, Pick, Row, any_class, classes
from lamplighter.store.sqlite.waits import Parking, let_go


class Lease(NamedTuple):
    """Who claims, until when, and as of when."""

    worker: str
    lease_until: int
    now: int


def is_needed(connection: Connection, queues: Sequence[str], now: int) -> bool:
    """Whether a claim could find a job, or let one go. A read that costs little, for workers that are idle."""
    return any_class(connection, queues) or bool(value(connection, "any_to_look_at", now=now))


def claim(connection: Connection, queues: Sequence[str], limit: int, lease: Lease) -> tuple[list[Claimed], bool]:
    """What was claimed, and whether there is nothing more to claim for so many."""
    claim = _Claim(connection, lease)
    claimed: list[Claimed] = []
    parked = 0
    for class_ in classes(connection, queues):
        if len(claimed) >= limit:
            break
        while len(claimed) < limit:
            if parked >= MOST_PARKED:
                return claimed, False
            taken, not_taken = claim.round(class_, limit - len(claimed))
            claimed += taken
            parked += not_taken
            if not not_taken:
                break
    return claimed, True


class _Claim:
    """One claim, which begins by letting go whom gates have room for."""

    def __init__(self, connection: Connection, lease: Lease) -> None:
        self._connection = connection
        self._lease = lease
        self._flow = FlowControl(connection, lease.now)
        self._gates = self._flow.gates
        self._parking = Parking(self._flow)
        let_go(self._flow)

    def round(self, class_: Class, want: int) -> tuple[list[Claimed], int]:
        """Take the jobs that are next and that their gates let through; and say how many these did not."""
        lines = Lines(self._flow, class_)
        planned = lines.plan(want)
        taken = self._admit_all(planned)
        self._parking.write()
        if taken:
            lines.take_out(taken)
            self._start([job for _, job in taken])
            self._gates.write()
        return [_claimed(job) for _, job in taken], len(planned) - len(taken)

    def _admit_all(self, planned: list[Pick]) -> list[Pick]:
        """Those that their gates let through: all, where every gate has room for all, else one by one."""
        wanted = Counter(chain.from_iterable(job.limits for _, job in planned if job.limits))
        if not wanted:
            return planned
        self._gates.load(wanted)
        if self._gates.take_all(wanted):
            return planned
        return [(start, job) for start, job in planned if self._admit(job)]

    def _admit(self, job: Row) -> bool:
        """Let a job through all of its gates, or have it wait before the first that does not."""
        if not job.limits:
            return True
        if key := self._gates.shut(job.limits):
            self._parking.park(job, key)
            return False
        self._gates.take(job.limits)
        return True

    def _start(self, jobs: list[Row]) -> None:
        ids = pack([job.id for job in jobs])
        if any(job.has_pending_key for job in jobs):
            run(self._connection, "let_go_pending_keys", ids=ids)
        run(self._connection, "start", ids=ids, **self._lease._asdict())


def _claimed(job: Row) -> Claimed:
    args, trace = parted(job.args)
    due, created = from_us(job.run_at), from_us(job.created_at)
    return Claimed(*job[:5], args, job.priority, due, created, job.failures, job.crashes, trace)
