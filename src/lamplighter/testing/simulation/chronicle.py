"""All that happens in a run, as it is known to the world: no process is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from lamplighter.core.clock import WallClock
from lamplighter.testing.simulation.loop import VirtualLoop
from lamplighter.testing.verify.history import Fault
from lamplighter.testing.verify.lines import Journal, Line

UNTOLD = "finish fails"
MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)


class Chronicle:
    """What was written down, and the faults, on the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.lines: list[Line] = []
        self.faults: list[Fault] = []
        self.rescues: dict[tuple[str, int], float] = {}
        """When the store took an attempt, by job and fence, from a worker that had not renewed its lease."""
        self.renewals: dict[tuple[str, int], datetime] = {}
        """When its worker sent the last renewal of an attempt that was accepted: it may crash before that arrives."""
        self.ended: dict[str, float] = {}
        """When an operator ended a job that did not run."""
        self.left: dict[str, float] = {}
        """When workers were told to stop."""
        self.clock_error = 0.0
        """Seconds that the clock of a process was off, at most, after it had been set by the store's."""

    def now(self) -> datetime:
        """The true time."""
        return MIDNIGHT + timedelta(seconds=self.loop.time())

    def fault(self, kind: str, *hit: str, lasts: float = 0.0, excuses: bool = True) -> None:
        """Note a fault that begins now."""
        now = self.loop.time()
        self.faults.append(Fault(kind=kind, at=now, until=now + lasts, hit=hit, excuses=excuses))

    @contextmanager
    def during(self, kind: str, *hit: str, excuses: bool = True) -> Iterator[None]:
        """Note a fault that lasts as long as the block."""
        at = self.loop.time()
        open_ = Fault(kind=kind, at=at, until=math.inf, hit=hit, excuses=excuses)
        self.faults.append(open_)
        try:
            yield
        finally:
            over = Fault(kind=kind, at=at, until=self.loop.time(), hit=hit, excuses=excuses)
            self.faults[self.faults.index(open_)] = over

    def all_faults(self) -> list[Fault]:
        """Every fault, when the run is over. One that keeps a worker from telling the end of a job excuses nothing, for
        it tries on while it renews the lease; unless it is told to stop meanwhile, for then it gives up some time."""
        return [
            msgspec.structs.replace(one, excuses=one.excuses or (one.kind == UNTOLD and self._met_a_leaver(one)))
            for one in self.faults
        ]

    def _met_a_leaver(self, fault: Fault) -> bool:
        return self.left.get(fault.hit[0], math.inf) <= fault.until

    def journal(self, who: str) -> Journal:
        """What a process writes its lines with."""
        return _Pages(self, who)

    def clock(self, offsets: dict[str, float], machine: str) -> WallClock:
        """The wall clock of a machine, that goes wrong as `offsets` say."""
        return _Clock(self, offsets, machine)


class _Pages(Journal):
    """Lines of one process, in memory."""

    def __init__(self, chronicle: Chronicle, who: str) -> None:
        self.who = who
        self._chronicle = chronicle

    def write(self, *lines: Line) -> None:
        self._chronicle.lines += lines

    def passed(self) -> float:
        return self._chronicle.loop.time()

    def real(self) -> float:
        return self._chronicle.now().timestamp()

    def close(self) -> None:
        return


class _Clock(WallClock):
    """Tells how far off it is each time that it was set."""

    def __init__(self, chronicle: Chronicle, offsets: dict[str, float], machine: str) -> None:
        super().__init__(lambda: chronicle.now() + timedelta(seconds=offsets[machine]), chronicle.loop.time)
        self._chronicle = chronicle

    def set_by(self, moment: datetime, *, asked: float, answered: float) -> timedelta:
        ahead = super().set_by(moment, asked=asked, answered=answered)
        error = abs((self() - self._chronicle.now()).total_seconds())
        self._chronicle.clock_error = max(self._chronicle.clock_error, error)
        return ahead
