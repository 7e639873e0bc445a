"""Who waits before which gate: queued jobs that a limit did not let through, apart for each queue.

The tenants of one queue go in turn. Unlike in `lines`, a job has its place when it comes: behind its tenant's last, or,
of a tenant that has nobody waiting, behind what was let through last.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from datetime import datetime

from lamplighter.core.model import JobView

Before = tuple[str, str]  # a gate's key and a queue
_Place = tuple[int, int, datetime, str]


class Wait:
    """The jobs of one queue before one gate. `look_at`: when to see whether some may go (microseconds; None: never)."""

    def __init__(self) -> None:
        self.look_at: int | None = None
        self._served = 0
        self._jobs: list[_Place] = []
        self._last: dict[tuple[int, str], list[int]] = {}  # places of a priority's tenant, in order

    def __len__(self) -> int:
        return len(self._jobs)

    def next_place(self, job: JobView, charge: int) -> int:
        """Where a job stands that comes now."""
        waiting = self._last.get((job.priority, job.tenant or ""))
        return waiting[-1] + charge if waiting else self._served

    def enter(self, job: JobView, place: int) -> None:
        insort(self._jobs, _place(job, place))
        insort(self._last.setdefault((job.priority, job.tenant or ""), []), place)

    def leave(self, job: JobView, place: int) -> None:
        del self._jobs[bisect_left(self._jobs, _place(job, place))]
        places = self._last[job.priority, job.tenant or ""]
        del places[bisect_left(places, place)]
        if not places:
            del self._last[job.priority, job.tenant or ""]

    def first(self, n: int) -> list[str]:
        """Who goes next."""
        return [id_ for *_, id_ in self._jobs[:n]]

    def went(self, place: int, charge: int) -> None:
        """One that stood there was let go: who comes now must not always be before those who wait."""
        self._served = max(self._served, place + charge)


def _place(job: JobView, place: int) -> _Place:
    return -job.priority, place, job.run_at, job.id
