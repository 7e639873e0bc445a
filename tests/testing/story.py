"""Histories for the tests of the judge, told line by line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from msgspec.structs import replace

from lamplighter.core.model import JobView, State
from lamplighter.testing.verify.history import Fault, Found, History
from lamplighter.testing.verify.jobs import CRON, CRON_QUEUE
from lamplighter.testing.verify.lines import Line, What
from lamplighter.testing.verify.tasks import Kind, Task, task

SEED, JOBS, LEASE = 1, 5000, 2.0
MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)


def number_of(kind: Kind, **what: Any) -> int:
    """The first task of a kind; `what` else it has to be."""
    tasks = (task(SEED, number, LEASE) for number in range(JOBS))
    return next(
        one.number for one in tasks if one.kind == kind and all(getattr(one, name) == is_ for name, is_ in what.items())
    )


class Story:
    """What happened, in the order in which it is told: each line a second after the one before."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.faults: list[Fault] = []
        self.views: dict[str, JobView] = {}
        self.keys: dict[str, bool] = {}
        self.rescues: dict[tuple[str, int], float] = {}
        self.leftovers: list[str] = []
        self.ended_alone: list[str] = []

    @property
    def now(self) -> float:
        return float(len(self.lines))

    def tell(self, what: What, job: str = "", fence: int = 0, who: str = "w1", **more: Any) -> Self:
        self.lines.append(Line(self.now, self.now, who, what, job, fence, **more))
        return self

    def added(self, job: str, number: int, *, step: int = 0) -> Self:
        """Asked for, and acknowledged."""
        since = self.now
        self.tell("asked", who="e1", number=number, step=step)
        key = task(SEED, number, LEASE).key or ""
        return self.tell("added", job, who="e1", number=number, step=step, since=since, detail=key)

    def ran(self, job: str, number: int, fence: int = 1, who: str = "w1", *, step: int = 0) -> Self:
        """Claimed, begun, and through."""
        self.tell("claimed", job, fence, who).tell("begin", job, fence, who, number=number, step=step)
        return self.tell("end", job, fence, who, number=number, step=step)

    def accepted(self, job: str, fence: int = 1, who: str = "w1", verb: str = "done") -> Self:
        """The store took its end."""
        return self.tell("finished", job, fence, who, since=self.now - 0.5, detail=verb)

    def whole(self, job: str, number: int) -> Self:
        """From its add to its end, and kept."""
        self.added(job, number).ran(job, number).accepted(job)
        return self.holds(job, number)

    def holds(self, job: str, number: int, state: State = State.DONE) -> Self:
        """The store has it in the end."""
        self.views[job] = view(job, task(SEED, number, LEASE), state)
        return self

    def slot(self, second: int, job: str) -> Self:
        """A slot of the schedule has become a job."""
        base = view(job, task(SEED, 0, LEASE), State.DONE)
        run_at = MIDNIGHT + timedelta(seconds=second)
        self.views[job] = replace(base, name=CRON, queue=CRON_QUEUE, args="{}", run_at=run_at)
        return self

    def fault(self, kind: str, *hit: str, excuses: bool = True, loses: float = 0.0) -> Self:
        """At this moment."""
        at = self.now - 0.5
        self.faults.append(Fault(kind=kind, at=at, until=at, hit=hit, excuses=excuses, loses=loses))
        return self

    @property
    def history(self) -> History:
        found = Found(
            views=list(self.views.values()),
            keys=self.keys,
            rescues=self.rescues,
            leftovers=self.leftovers,
            ended_alone=self.ended_alone,
        )
        return History(seed=SEED, jobs=JOBS, lease=LEASE, lines=self.lines, faults=self.faults, found=found)


def view(job: str, of: Task, state: State) -> JobView:
    return JobView(
        id=job,
        name=f"verify.{of.kind}",
        queue=of.queue,
        tenant=of.tenant,
        state=state,
        priority=of.priority,
        run_at=MIDNIGHT,
        created_at=MIDNIGHT,
        args=f'{{"number":{of.number}}}',
        fence=1,
        failures=0,
        crashes=0,
        unique=None,
        limits=(),
        waits_on=None,
        worker=None,
        started_at=None,
        lease_until=None,
        stopping=False,
        progress=None,
        ended_at=None,
        keep_until=None,
        result=None,
        reason=None,
    )
