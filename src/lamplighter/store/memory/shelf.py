"""Jobs by id, and in order: each stands among those of its queue and state."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge, nlargest, nsmallest
from itertools import islice, takewhile
from typing import Any

from msgspec.structs import replace

from lamplighter.core.model import ENDED, LIVE, WAITING, Children, JobView, Keep, QueueStats, State, Where
from lamplighter.store.memory.flow_control import FlowControl

_Place = tuple[Any, ...]  # where a job stands among others; its id comes last


class Shelf:
    """Jobs, changed only by `put` and `take_out`, so that a job's place in line never differs from its state."""

    def __init__(self, flow: FlowControl) -> None:
        self._flow = flow  # is told of every queued job
        self._jobs: dict[str, JobView] = {}
        self._by_state: defaultdict[tuple[str, State], list[_Place]] = defaultdict(list)
        self._waiting: Counter[tuple[str, str]] = Counter()  # jobs of a queue's tenant
        self._groups: defaultdict[str, list[str]] = defaultdict(list)
        self._children: dict[str, Children] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, id_: str) -> JobView:
        return self._jobs[id_]

    def __contains__(self, id_: str) -> bool:
        return id_ in self._jobs

    def put(self, job: JobView) -> None:
        """Add a job, or write it over the one of its id, but for how far its children are."""
        self._leave(job.id)
        if job.children is not None:
            job = replace(job, children=self._children.setdefault(job.id, job.children))
        self._jobs[job.id] = job
        insort(self._by_state[job.queue, job.state], _place(job))
        if job.group:
            insort(self._groups[job.group], job.id)
        if job.state in WAITING:
            self._waiting[job.queue, job.tenant or ""] += 1
        if job.state is State.QUEUED:
            self._flow.enter(job)

    def get(self, id_: str | None) -> JobView | None:
        """The job, if it is there."""
        return None if id_ is None else self._jobs.get(id_)

    def take_out(self, id_: str) -> None:
        """Remove a job, if it is there."""
        self._leave(id_)
        self._children.pop(id_, None)

    def tally(self, group: str | None, what: str, n: int) -> None:
        """Count a child of a job, if that is still known."""
        if group in self._children:
            counted = self._children[group]
            self._children[group] = replace(counted, **{what: getattr(counted, what) + n})
            job = replace(self._jobs[group], children=self._children[group])
            if job.state is State.HELD:
                self.put(job)  # whether it is settled says where it stands
            else:
                self._jobs[job.id] = job  # where it is: whoever leaves a line, or a gate, loses a turn

    def _leave(self, id_: str) -> None:
        job = self._jobs.pop(id_, None)
        if job is None:
            return
        line = self._by_state[job.queue, job.state]
        del line[bisect_left(line, _place(job))]
        if job.group:
            group = self._groups[job.group]
            del group[bisect_left(group, id_)]
        if job.state in WAITING:
            self._waiting[job.queue, job.tenant or ""] -= 1
        if job.state is State.QUEUED:
            self._flow.leave(job)

    def held(self, id_: str, fence: int) -> JobView | None:
        """The running job of this attempt; None when its worker lost it."""
        job = self._jobs.get(id_)
        return job if job and job.state is State.RUNNING and job.fence == fence else None

    def waiting(self, queue: str, tenant: str | None = None) -> int:
        """How many jobs of a queue wait: of one tenant ("" where jobs have none), or of all."""
        if tenant is not None:
            return self._waiting[queue, tenant]
        return sum(len(self._by_state.get((queue, state), ())) for state in WAITING)

    def oldest_waiting(self, queue: str, tenant: str | None, n: int) -> list[JobView]:
        """The first of those by id."""
        found = (
            job
            for job in self._jobs.values()
            if job.state in WAITING and job.queue == queue and (tenant is None or (job.tenant or "") == tenant)
        )
        return nsmallest(n, found, key=lambda job: job.id)

    def up_to(self, now: datetime, state: State, limit: int) -> list[JobView]:
        """Scheduled jobs that are due, or running ones whose lease ran out, the earliest first."""
        come = takewhile(lambda place: place[0] <= now, merge(*self._in_state(state)))
        return [self._jobs[place[-1]] for place in islice(come, limit)]

    def settled(self, limit: int) -> list[JobView]:
        """Held jobs that need not wait for their children any longer, the oldest first."""
        come = takewhile(lambda place: place[0] == 0, merge(*self._in_state(State.HELD)))
        return [self._jobs[place[-1]] for place in islice(come, limit)]

    def next_moment(self) -> datetime | None:
        """When the earliest scheduled job is due or the earliest lease runs out."""
        waiting = [*self._in_state(State.SCHEDULED), *self._in_state(State.RUNNING)]
        return min((line[0][0] for line in waiting), default=None)

    def find(self, where: Where, among: Collection[State], limit: int, before: str | None = None) -> list[JobView]:
        """The newest jobs that match, newest first."""
        found = (
            job
            for job in self._candidates(where, before)
            if job.state in among and _matches(job, where) and (before is None or job.id < before)
        )
        if len(where.groups) == 1 and not where.ids:
            return list(islice(found, limit))  # they come in order, and may be very many
        return nlargest(limit, found, key=lambda job: job.id)

    def ended(self) -> list[JobView]:
        """All that have ended, in any order."""
        return [job for job in self._candidates(Where(), None) if job.state in ENDED]

    def expired(self, now: datetime) -> list[str]:
        """Ended jobs that were kept long enough, the first to expire first."""
        expired = [(job.keep_until, job.id) for job in self._jobs.values() if job.keep_until and job.keep_until <= now]
        return [id_ for _, id_ in sorted(expired) if not self.spared(id_)]

    def crowded(self, keep: Keep) -> list[str]:
        """The oldest ended jobs of each queue and state beyond those to keep."""
        most = {State.DONE: keep.done, State.FAILED: keep.failed, State.CANCELLED: keep.failed}
        lines = [(line, most[state]) for (_, state), line in self._by_state.items() if state in ENDED]
        oldest = [place[-1] for line, kept in lines for place in line[: max(0, len(line) - kept)]]
        return [id_ for id_ in oldest if not self.spared(id_)]

    def stats(self, paused: Collection[str]) -> list[QueueStats]:
        """How many jobs there are, and since when the first in line is due."""
        queues = sorted({queue for queue, _ in self._by_state}.union(paused))
        return [
            QueueStats(
                queue=queue, paused=queue in paused, **self._counts(queue), oldest=self._flow.lines.oldest(queue)
            )
            for queue in queues
        ]

    def spared(self, id_: str) -> bool:
        """Whether it is a child whose parent may still ask how it ended."""
        parent = self.get(self._jobs[id_].group)
        return parent is not None and parent.state in LIVE

    def _candidates(self, where: Where, before: str | None) -> Iterator[JobView]:
        ids: Iterable[str]
        if where.ids:
            ids = set(where.ids)
        elif where.groups:
            ids = (id_ for group in set(where.groups) for id_ in self._of_group(group, before))
        else:
            ids = self._jobs
        return (self._jobs[id_] for id_ in ids if id_ in self._jobs)

    def _of_group(self, group: str, before: str | None) -> Iterator[str]:
        """The newest first."""
        ids = self._groups.get(group, [])
        last = len(ids) if before is None else bisect_left(ids, before)
        return (ids[n] for n in range(last - 1, -1, -1))

    def _counts(self, queue: str) -> dict[str, int]:
        return {state.value: len(self._by_state.get((queue, state), ())) for state in State}

    def _in_state(self, state: State) -> list[list[_Place]]:
        return [line for (_, of), line in self._by_state.items() if of is state and line]


def _place(job: JobView) -> _Place:
    match job.state:
        case State.HELD:
            return 0 if job.children and job.children.settled else 1, job.id
        case State.SCHEDULED:
            return job.run_at, job.id
        case State.RUNNING:
            return job.lease_until, job.id
        case _:
            return (job.id,)


def _matches(job: JobView, where: Where) -> bool:
    pairs: list[tuple[Sequence[str], str | None]] = [
        (where.queues, job.queue),
        (where.names, job.name),
        (where.tenants, job.tenant),
        (where.states, job.state),
        (where.groups, job.group),
    ]
    return all(not wanted or value in wanted for wanted, value in pairs)
