"""The store itself, at the far end of the network: what it gives and accepts is written down as it happens."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from lamplighter.core.model import Beat, Beaten, Cancelled, Claimed, Outcome, Swept
from lamplighter.store.base import Store
from lamplighter.testing.simulation.chronicle import Chronicle
from lamplighter.testing.verify.history import DRIFT
from lamplighter.testing.verify.lines import What

T = TypeVar("T")


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """The answer of a store that never waits: that of memory."""
    try:
        call.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    call.close()
    raise RuntimeError("a simulated store has to answer at once: wrap the memory store without awaiting else.")


class Truth:
    """Calls of named processes, one at a time."""

    def __init__(self, store: Store, chronicle: Chronicle) -> None:
        self.store = store
        self._chronicle = chronicle
        self._fences: dict[str, int] = {}

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        """Any call that is of no interest to the chronicle."""
        return at_once(getattr(self.store, name)(*args, **options))

    def claim(self, who: str, queues: Sequence[str], limit: int, *, lease: timedelta, now: datetime) -> list[Claimed]:
        """Tell what was claimed, even if its worker never hears of it."""
        self._look_if_late(who, lease, now)
        claimed: list[Claimed] = at_once(self.store.claim(queues, limit, worker=who, lease=lease, now=now))
        for job in claimed:
            self._fences[job.id] = job.fence
            self._write(who, "claimed", job.id, job.fence)
        return claimed

    def beat(self, who: str, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        """Tell of renewals that took so long that leases may be over."""
        self._look_if_late(who, lease, now)
        beaten: Beaten = at_once(self.store.beat(beats, lease=lease, now=now))
        lost = set(beaten.lost)
        self._chronicle.renewals |= {(one.id, one.fence): now for one in beats if one.id not in lost}
        return beaten

    def finish(self, who: str, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        """Tell which outcomes were accepted."""
        won = at_once(self.store.finish(outcomes, now=now))
        newest = {one.id: one.fence for one in sorted(outcomes, key=lambda one: one.fence)}
        accepted = {(job, newest[job]) for job in won}  # of two attempts of one job, which it lost and got again
        for one in outcomes:
            what: What = "finished" if (one.id, one.fence) in accepted else "refused"
            self._write(who, what, one.id, one.fence, detail=one.verb)
        return won

    def sweep(self, limit: int, *, now: datetime) -> Swept:
        """Tell what was rescued, and of a sweep by a clock that is ahead: it may take leases that are not over."""
        if (now - self._chronicle.now()).total_seconds() > DRIFT:
            self._chronicle.fault("sweep by a clock that is ahead")
        swept: Swept = at_once(self.store.sweep(limit, now=now))
        for job in swept.rescued:
            self._chronicle.rescues[job, self._fences.get(job, 0)] = self._chronicle.loop.time()
        return swept

    def cancel(self, *args: Any, **options: Any) -> Cancelled:
        """Tell what ended before it ran."""
        cancelled: Cancelled = at_once(self.store.cancel(*args, **options))
        self._chronicle.ended |= dict.fromkeys(cancelled.ended, self._chronicle.loop.time())
        return cancelled

    def _look_if_late(self, who: str, lease: timedelta, now: datetime) -> None:
        late = self._chronicle.now() - now
        if late > lease / 10:
            self._chronicle.fault("lease from a moment that is over", who, lasts=lease.total_seconds())

    def _write(self, who: str, what: What, job: str, fence: int, *, detail: str = "") -> None:
        journal = self._chronicle.journal(who)
        journal.write(journal.line(what, job, fence, since=journal.passed(), detail=detail))
