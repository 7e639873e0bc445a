"""Who is served next: jobs that may be claimed, in one line for each tenant of a queue and priority.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): a line has a tag, the line with the lowest is served next, and
its tag goes up by what a job is charged, from no earlier than where the others are: an empty line saves nothing up.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from heapq import merge, nsmallest
from itertools import islice
from typing import NamedTuple

from lamplighter.core.flow_control import ShareView
from lamplighter.core.model import JobView

Class = tuple[str, int]  # a queue and a priority
Charge = Callable[[str], int]  # what a tenant is charged for a job


class Pick(NamedTuple):
    """A job that is next, as of a tag that its line has when it is served."""

    start: int
    tenant: str
    nth: int
    id: str


class _Line:
    def __init__(self) -> None:
        self.tag = 0
        self.jobs: list[tuple[datetime, str]] = []


class Lines:
    """The lines of all queues."""

    def __init__(self) -> None:
        self._classes: defaultdict[Class, dict[str, _Line]] = defaultdict(dict)  # by tenant
        self._served: defaultdict[Class, int] = defaultdict(int)  # the highest tag that was served

    def enter(self, job: JobView) -> None:
        """A job may be claimed."""
        line = self._classes[job.queue, job.priority].setdefault(job.tenant or "", _Line())
        insort(line.jobs, (job.run_at, job.id))

    def leave(self, job: JobView) -> None:
        """It may not any more."""
        jobs = self._classes[job.queue, job.priority][job.tenant or ""].jobs
        del jobs[bisect_left(jobs, (job.run_at, job.id))]

    def classes(self, queues: Sequence[str], paused: Collection[str]) -> list[Class]:
        """Queues and priorities that have jobs to claim, the highest priority first, then the earliest due job that is
        next in its class."""
        ranked = [
            (-priority, self._next(lines).jobs[0], (queue, priority))
            for (queue, priority), lines in self._classes.items()
            if queue not in paused and (not queues or queue in queues) and any(line.jobs for line in lines.values())
        ]
        return [class_ for *_, class_ in sorted(ranked)]

    def plan(self, class_: Class, most: int, charge: Charge) -> list[Pick]:
        """The jobs that are next, up to so many."""
        lines = [(tenant, line) for tenant, line in self._classes[class_].items() if line.jobs]
        first = nsmallest(most, lines, key=lambda pair: (pair[1].tag, pair[0]))
        served = self._served[class_]
        return list(islice(merge(*(_picks(tenant, line, served, charge) for tenant, line in first)), most))

    def serve(self, class_: Class, taken: Sequence[Pick], charge: Charge) -> None:
        """These were taken: their tenants are charged."""
        served = self._served[class_]
        for tenant, n in Counter(pick.tenant for pick in taken).items():
            line = self._classes[class_][tenant]
            line.tag = max(line.tag, served) + n * charge(tenant)
        self._served[class_] = max([served, *(pick.start for pick in taken)])

    def charge(self, job: JobView, amount: int) -> None:
        """Charge a job's tenant for how long it ran, if its line is still known."""
        if line := self._classes.get((job.queue, job.priority), {}).get(job.tenant or ""):
            line.tag += amount

    def prune(self) -> None:
        """Forget classes without jobs, and of others the empty lines that have nothing to make up for."""
        for class_, lines in list(self._classes.items()):
            if any(line.jobs for line in lines.values()):
                served = self._served[class_]
                left = {tenant: line for tenant, line in lines.items() if line.jobs or line.tag > served}
                self._classes[class_] = left
            else:
                del self._classes[class_]
                self._served.pop(class_, None)

    def oldest(self, queue: str) -> datetime | None:
        """Since when the job is due that has waited longest in line."""
        lines = (line for (of, _), lines in self._classes.items() if of == queue for line in lines.values())
        return min((line.jobs[0][0] for line in lines if line.jobs), default=None)

    def views(self, queue: str, limit: int) -> list[ShareView]:
        """The lines of a queue that have jobs, who is next first."""
        found = [
            ShareView(queue=queue, priority=priority, tenant=tenant, queued=len(line.jobs), tag=line.tag)
            for (of, priority), lines in self._classes.items()
            for tenant, line in lines.items()
            if of == queue and line.jobs
        ]
        return sorted(found, key=lambda share: (-share.priority, share.tag, share.tenant))[:limit]

    def _next(self, lines: dict[str, _Line]) -> _Line:
        return min((line.tag, tenant, line) for tenant, line in lines.items() if line.jobs)[2]


def _picks(tenant: str, line: _Line, served: int, charge: Charge) -> Iterator[Pick]:
    begins, cost = max(line.tag, served), charge(tenant)
    for nth, (_, id_) in enumerate(line.jobs):
        yield Pick(begins + nth * cost if nth else line.tag, tenant, nth, id_)
