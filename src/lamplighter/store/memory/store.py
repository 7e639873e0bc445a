"""The memory store: as plain as can be, because the others are judged by it."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NoReturn, Self

from msgspec.structs import replace

from lamplighter.core.errors import TransactionUnsupported
from lamplighter.core.model import (
    ATTEMPT_ENDS,
    ENDED,
    LIVE,
    MOVES,
    WAITING,
    Added,
    Beat,
    Beaten,
    Cancelled,
    Children,
    Claimed,
    Failure,
    JobView,
    Keep,
    NewJob,
    Outcome,
    QueueStats,
    Record,
    State,
    Swept,
    Unique,
    Where,
)
from lamplighter.store.alarm import Alarm
from lamplighter.store.memory.keys import Keys, over
from lamplighter.store.memory.shelf import Shelf

FAILURES_KEPT = 20
_FATES = {State.FAILED: "failed", State.CANCELLED: "was cancelled"}


class MemoryStore:
    """Jobs of this process, gone with it (see `base.Store`). One lock guards all, so any thread or loop may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs = Shelf()
        self._keys = Keys()
        self._uniques: dict[str, Unique] = {}
        self._failures: defaultdict[str, deque[Failure]] = defaultdict(lambda: deque(maxlen=FAILURES_KEPT))
        self._paused: set[str] = set()
        self._records: dict[tuple[str, str], Record] = {}
        self._alarms: dict[Alarm, None] = {}  # in an order, unlike a set: a simulation has to repeat itself

    @property
    def url(self) -> str:
        return "memory://"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        if tx is not None:
            self.add_within(tx, jobs, now=now)
        with self._changing():
            return [self._add(job, now) for job in jobs]

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> NoReturn:  # noqa: ARG002 - joins none
        raise TransactionUnsupported(
            f"memory:// cannot join tx={type(tx).__name__}: use a store in the same database as your data."
        )

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        with self._lock:
            found = self._jobs.most_urgent(queues, self._paused, limit)
            return [self._start(job, worker, now + lease, now) for job in found]

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        with self._changing():
            return [outcome.id for outcome in outcomes if self._finish(outcome, now)]

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        with self._lock:
            renewed = [(beat.id, self._renew(beat, now + lease)) for beat in beats]
            stop = [id_ for id_, job in renewed if job and job.stopping]
            return Beaten(stop, [id_ for id_, job in renewed if job is None])

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        with self._lock:
            next_at = self._next_look(now)
            if next_at is None or next_at > now:
                return Swept(0, [], next_at)  # and tell nobody: who sweeps when told of changes would never rest
        with self._changing():
            let_go, failed = self._settle(limit, now)
            due = self._jobs.up_to(now, State.SCHEDULED, limit)
            for job in due:
                self._jobs.put(replace(job, state=State.QUEUED))
            abandoned = self._jobs.up_to(now, State.RUNNING, limit)
            for job in abandoned:
                self._rescue(job, now)
            rescued = [job.id for job in abandoned]
            return Swept(let_go + len(due), rescued, self._next_look(now), failed)

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        with self._changing():
            found = self._jobs.find(where, LIVE, limit)
            running = [job for job in found if job.state is State.RUNNING]
            waiting = [job for job in found if job.state is not State.RUNNING]
            for job in running:
                self._jobs.put(replace(job, stopping=True))
            for job in waiting:
                self._end(replace(job, reason="cancelled", keep_until=keep_until), State.CANCELLED, now)
            return Cancelled([job.id for job in waiting], [job.id for job in running])

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        with self._changing():
            found = self._jobs.find(where, MOVES["be retried"].sources, limit)
            for job in found:
                self._revive(job, now)
            return [job.id for job in found]

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        with self._lock:
            doomed = list(dict.fromkeys([*self._jobs.expired(now), *self._jobs.crowded(keep)]))[:limit]
            for id_ in doomed:
                self._forget(id_)
            self._keys.expire(now)
            self._records = {key: record for key, record in self._records.items() if not over(record.expires_at, now)}
            return len(doomed)

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        with self._lock:
            return self._jobs.find(where, LIVE | ENDED, limit, before)

    async def failures(self, job: str) -> list[Failure]:
        with self._lock:
            return list(self._failures.get(job, ()))

    async def stats(self) -> list[QueueStats]:
        with self._lock:
            return self._jobs.stats(self._paused)

    async def pause(self, queue: str, *, paused: bool) -> None:
        with self._changing():
            (self._paused.add if paused else self._paused.discard)(queue)

    async def put(self, record: Record) -> None:
        with self._lock:
            self._records[record.kind, record.name] = record

    async def drop(self, kind: str, name: str) -> None:
        with self._lock:
            self._records.pop((kind, name), None)

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        with self._lock:
            found = [record for record in self._records.values() if record.kind == kind]
        return sorted((r for r in found if not over(r.expires_at, now)), key=lambda r: r.name)

    async def time(self) -> datetime | None:
        return None

    async def wake(self) -> AsyncIterator[None]:
        alarm = Alarm()
        with self._lock:
            self._alarms[alarm] = None
        try:
            while True:
                await alarm.sleep(None)
                yield
        finally:
            with self._lock:
                del self._alarms[alarm]

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, then tell whoever waits for changes. Claims tell nobody, or fetchers would wake each other."""
        with self._lock:
            yield
            alarms = tuple(self._alarms)
        for alarm in alarms:
            alarm.ring()

    def _add(self, new: NewJob, now: datetime) -> Added:
        if new.id in self._jobs:
            return Added(new.id, created=True)
        parent = self._jobs.get(new.group)
        if new.group and (parent is None or parent.state is not State.HELD):
            return Added(new.id, created=False)
        if new.unique:
            holder = self._keys.take(new.id, new.unique, now, parent=new.parent)
            if holder != new.id:
                return Added(holder, created=False, replaced=self._replace(holder, new, now))
            self._uniques[new.id] = new.unique
        self._jobs.put(_view(new, now))
        self._jobs.tally(new.group, "added", 1)
        return Added(new.id, created=True)

    def _replace(self, holder: str, new: NewJob, now: datetime) -> bool:
        waiting = self._jobs.find(Where(ids=(holder,), names=(new.name,)), WAITING, 1) if new.replaces else []
        for job in waiting:
            latest = new.run_at if new.debounce_for is None else job.created_at + new.debounce_for
            run_at = min(new.run_at, latest)
            state = _wait(run_at, now)
            self._jobs.put(replace(job, args=new.args, priority=new.priority, run_at=run_at, state=state))
        return bool(waiting)

    def _start(self, job: JobView, worker: str, lease_until: datetime, now: datetime) -> Claimed:
        unique = self._uniques.get(job.id)
        if unique and unique.mode == "pending":
            self._keys.let_go(job.id, unique)
        job = replace(job, state=State.RUNNING, fence=job.fence + 1, worker=worker, progress=None)
        self._jobs.put(replace(job, started_at=now, lease_until=lease_until))
        return Claimed(*(getattr(job, field) for field in Claimed._fields))

    def _finish(self, outcome: Outcome, now: datetime) -> bool:
        job = self._jobs.held(outcome.id, outcome.fence)
        if job is None:
            return False
        _, target, spends = ATTEMPT_ENDS[outcome.verb]
        if outcome.failure:
            self._failures[job.id].append(outcome.failure)
        job = replace(job, failures=job.failures + spends, keep_until=outcome.keep_until)
        if target in ENDED:
            self._end(replace(job, result=outcome.result, reason=outcome.reason), target, now)
        elif job.stopping:
            self._end(replace(job, reason="asked to stop"), State.CANCELLED, now)
        else:
            self._return(replace(job, run_at=outcome.run_at or job.run_at), target, now)
        return True

    def _next_look(self, now: datetime) -> datetime | None:
        next_at = self._jobs.next_moment()
        return now if self._jobs.settled(1) else next_at and max(now, next_at)

    def _settle(self, limit: int, now: datetime) -> tuple[int, tuple[str, ...]]:
        """Let go the held jobs that need not wait any longer; returns how many are due by that, and which fail."""
        settled = [(job, job.children) for job in self._jobs.settled(limit) if job.children]
        failing = [self._failed_for(job) for job, children in settled if children.must_fail]
        let_go = [job for job, children in settled if not children.must_fail]
        for job in let_go:
            self._let_go(job, now)
        for job in failing:
            self._end(job, State.FAILED, now)
        return sum(job.run_at <= now for job in let_go), tuple(job.id for job in failing)

    def _let_go(self, job: JobView, now: datetime) -> None:
        """Let a held job wait for its time, else in line from now on."""
        self._jobs.put(replace(job, state=_wait(job.run_at, now), run_at=max(job.run_at, now)))

    def _failed_for(self, job: JobView) -> JobView:
        """The job as it fails for its oldest child that came to no good end: kept as long as that one."""
        lost = self._jobs.find(Where(groups=(job.id,)), {State.FAILED, State.CANCELLED}, len(self._jobs))
        why = f"its child {lost[-1].id} {_FATES[lost[-1].state]}" if lost else "a child of it, now forgotten, failed"
        return replace(job, reason=why, keep_until=lost[-1].keep_until if lost else None)

    def _renew(self, beat: Beat, lease_until: datetime) -> JobView | None:
        job = self._jobs.held(beat.id, beat.fence)
        if job:
            progress = job.progress if beat.progress is None else beat.progress
            self._jobs.put(replace(job, lease_until=lease_until, progress=progress))
        return job

    def _rescue(self, job: JobView, now: datetime) -> None:
        message = f"worker {job.worker} stopped renewing its lease."
        lost = Failure(fence=job.fence, at=now, kind="crash", error="WorkerLost", message=message)
        self._failures[job.id].append(lost)
        job = replace(job, crashes=job.crashes + 1)
        if job.stopping:
            self._end(replace(job, reason="asked to stop"), State.CANCELLED, now)
        else:
            self._return(job, State.QUEUED, now)

    def _return(self, job: JobView, state: State, now: datetime) -> None:
        """Back to wait; without its key if another took that meanwhile, for a retry is never lost over a key."""
        job = replace(job, state=state, worker=None, started_at=None, lease_until=None, progress=None, keep_until=None)
        self._jobs.put(job)
        unique = self._uniques.get(job.id)
        if unique and unique.mode == "pending":
            self._keys.take(job.id, unique, now)

    def _end(self, job: JobView, state: State, now: datetime) -> None:
        if unique := self._uniques.get(job.id):
            self._keys.let_go(job.id, unique)
        self._jobs.tally(job.group, state, 1)
        if over(job.keep_until, now) and not job.group:
            self._forget(job.id)
        else:
            job = replace(job, state=state, ended_at=now, lease_until=None, stopping=False, progress=None)
            self._jobs.put(job)

    def _revive(self, job: JobView, now: datetime) -> None:
        unique = self._uniques.get(job.id)
        if unique and unique.mode != "period" and job.state in ENDED:
            self._keys.take(job.id, unique, now)
        if job.state in ENDED:
            self._jobs.tally(job.group, job.state, -1)
        state = State.QUEUED if job.children is None or job.state is State.SCHEDULED else State.HELD
        job = replace(job, state=state, run_at=now, failures=0, crashes=0, worker=None, started_at=None)
        self._jobs.put(replace(job, ended_at=None, keep_until=None, result=None, reason=None))

    def _forget(self, id_: str) -> None:
        self._jobs.take_out(id_)
        self._uniques.pop(id_, None)
        self._failures.pop(id_, None)


def _wait(run_at: datetime, now: datetime) -> State:
    return State.QUEUED if run_at <= now else State.SCHEDULED


def _view(new: NewJob, now: datetime) -> JobView:
    return JobView(
        id=new.id,
        name=new.name,
        queue=new.queue,
        tenant=new.tenant,
        state=_wait(new.run_at, now) if new.children is None else State.HELD,
        priority=new.priority,
        run_at=new.run_at,
        created_at=new.created_at or now,
        args=new.args,
        fence=0,
        failures=new.failures,
        crashes=new.crashes,
        unique=new.unique,
        worker=None,
        started_at=None,
        lease_until=None,
        stopping=False,
        progress=None,
        ended_at=None,
        keep_until=None,
        result=None,
        reason=None,
        group=new.group,
        children=None if new.children is None else Children(total=new.children, on_failure=new.on_child_failure),
    )
