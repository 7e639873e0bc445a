"""The memory store: as plain as can be, because the others are judged by it."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple, NoReturn, Self

from msgspec.structs import replace

from lamplighter.core.errors import TransactionUnsupported
from lamplighter.core.flow_control import MOST_PARKED, GateView, Order, ShareView
from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.core.model import (
    ATTEMPT_ENDS,
    ENDED,
    LIVE,
    MOVES,
    WAITING,
    Added,
    Arguments,
    Beat,
    Beaten,
    Cancelled,
    Claimed,
    EndedJob,
    EndedPlace,
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
from lamplighter.store.memory.flow_control import FlowControl
from lamplighter.store.memory.full import Bounds
from lamplighter.store.memory.keys import Keys, over
from lamplighter.store.memory.shelf import Shelf
from lamplighter.store.memory.view import ended_of, view_of, waits_as
from lamplighter.store.rules import DROPPED

FAILURES_KEPT = 20

_FATES = {State.FAILED: "failed", State.CANCELLED: "was cancelled"}


class Claim(NamedTuple):
    """For whom a claim is, until when, and as of when."""

    worker: str
    lease_until: datetime
    now: datetime


class MemoryStore:
    """Jobs of this process, gone with it (see `base.Store`). One lock guards all, so any thread or loop may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flow = FlowControl(self._text)
        self._jobs = Shelf(self._flow)
        self._keys = Keys()
        self._uniques: dict[str, Unique] = {}
        self._failures: defaultdict[str, deque[Failure]] = defaultdict(lambda: deque(maxlen=FAILURES_KEPT))
        self._logs: dict[str, list[LogLine]] = {}
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
            bounds = Bounds(self._jobs, self._flow, jobs)
            bounds.refuse()
            added = [self._add(job, now) for job in jobs]
            self._drop_oldest(bounds, now)
            return added

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> NoReturn:  # noqa: ARG002 - joins none
        raise TransactionUnsupported(
            f"memory:// cannot join tx={type(tx).__name__}: use a store in the same database as your data."
        )

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        with self._lock:
            self._unpark(now)
            claimed, done = self._claim(queues, limit, Claim(worker, now + lease, now))
        if not done:
            self._ring()
        return claimed

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        with self._changing():
            ended = [(outcome, job) for outcome in outcomes if (job := self._finish(outcome, now))]
            self._flow.settle([(job, ATTEMPT_ENDS[outcome.verb].well) for outcome, job in ended], now)
            self._flow.obey([order for outcome, _ in ended for order in outcome.orders], now)
            return [job.id for _, job in ended]

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
            self._flow.settle([(job, None) for job in abandoned], now)
            came = len(due) + let_go + self._unpark(now)
            turned = self._flow.turned()
            return Swept(came, [job.id for job in abandoned], self._next_look(now), failed, turned)

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
            self._flow.prune(now)
            self._records = {key: record for key, record in self._records.items() if not over(record.expires_at, now)}
            return len(doomed)

    async def forget(self, where: Where, *, limit: int) -> list[str]:
        with self._lock:
            found = [job.id for job in self._jobs.find(where, ENDED, limit) if not self._jobs.spared(job.id)]
            for id_ in found:
                self._forget(id_)
            return found

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        with self._lock:
            return self._jobs.find(where, LIVE | ENDED, limit, before)

    async def arguments(self, where: Where, *, limit: int, before: str | None = None) -> list[Arguments]:
        return [Arguments(job.id, job.args) for job in await self.page(where, limit=limit, before=before)]

    async def ended(self, after: EndedPlace, *, limit: int) -> list[EndedJob]:
        with self._lock:
            ended = [ended_of(job) for job in self._jobs.ended()]
        return sorted((one for one in ended if one.place > after), key=lambda one: one.place)[: max(limit, 0)]

    async def failures(self, job: str) -> list[Failure]:
        with self._lock:
            return list(self._failures.get(job, ()))

    async def log(self, logged: Sequence[Logged], *, keep: int) -> None:
        with self._lock:
            for id_, fence, lines in logged:
                if self._jobs.held(id_, fence):
                    kept = self._logs.get(id_, [])
                    last = kept[-1].place if kept else LogPlace()
                    new = [replace(line, fence=fence) for line in lines if (fence, line.n) > last]
                    self._logs[id_] = [*kept, *new][-keep:]

    async def logs(self, job: str, *, limit: int, after: LogPlace | None = None) -> list[LogLine]:
        with self._lock:
            kept = self._logs.get(job, [])
        if after is None:
            return kept[max(0, len(kept) - limit) :]
        return [line for line in kept if line.place > after][:limit]

    async def stats(self) -> list[QueueStats]:
        with self._lock:
            return self._jobs.stats(self._paused)

    async def pause(self, queue: str, *, paused: bool) -> None:
        with self._changing():
            (self._paused.add if paused else self._paused.discard)(queue)

    async def put(self, record: Record) -> None:
        with self._lock:
            self._records[record.kind, record.name] = record
            changed = self._flow.rule_changed(record.kind, record.name)
        if changed:
            self._ring()

    async def drop(self, kind: str, name: str) -> None:
        with self._lock:
            self._records.pop((kind, name), None)
            changed = self._flow.rule_changed(kind, name)
        if changed:
            self._ring()

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        with self._lock:
            found = [record for record in self._records.values() if record.kind == kind]
        return sorted((r for r in found if not over(r.expires_at, now)), key=lambda r: r.name)

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        with self._changing():
            self._flow.obey(orders, now)

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        with self._lock:
            return self._flow.views(keys, limit, now)

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        with self._lock:
            return self._flow.lines.views(queue, limit)

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
        self._ring()

    def _ring(self) -> None:
        with self._lock:
            alarms = tuple(self._alarms)
        for alarm in alarms:
            alarm.ring()

    def _text(self, kind: str, name: str) -> str | None:
        record = self._records.get((kind, name))
        return None if record is None else record.value

    def _drop_oldest(self, bounds: Bounds, now: datetime) -> None:
        for job in bounds.excess():
            self._end(replace(job, reason=DROPPED), State.CANCELLED, now)

    def _unpark(self, now: datetime) -> int:
        """Have those stand in the line of their queue again whose gate has room for them."""
        ids = self._flow.let_go(now, self._jobs.__getitem__)
        for id_ in ids:
            self._jobs.put(replace(self._jobs[id_], waits_on=None))
        return len(ids)

    def _claim(self, queues: Sequence[str], limit: int, claim: Claim) -> tuple[list[Claimed], bool]:
        """What was claimed, and whether there is nothing more to claim for so many."""
        claimed: list[Claimed] = []
        parked = 0
        for class_ in self._flow.lines.classes(queues, self._paused):
            while len(claimed) < limit:
                if parked >= MOST_PARKED:
                    return claimed, False
                planned = self._flow.plan(class_, limit - len(claimed))
                taken = [pick for pick in planned if self._admit(self._jobs[pick.id], claim)]
                self._flow.serve(class_, taken)
                claimed += [self._claimed(pick.id) for pick in taken]
                parked += len(planned) - len(taken)
                if len(taken) == len(planned):
                    break
        return claimed, True

    def _admit(self, job: JobView, claim: Claim) -> bool:
        """Start a job, or have it wait before the first gate that does not let it through."""
        if key := self._flow.shut(job, claim.now):
            self._flow.park(job, key, claim.now)
            self._jobs.put(replace(job, waits_on=key))
            self._flow.parked(job)
            return False
        self._start(job, claim)
        self._flow.start(job, claim.now)
        return True

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
        self._jobs.put(view_of(new, now))
        self._jobs.tally(new.group, "added", 1)
        return Added(new.id, created=True)

    def _replace(self, holder: str, new: NewJob, now: datetime) -> bool:
        waiting = self._jobs.find(Where(ids=(holder,), names=(new.name,)), WAITING, 1) if new.replaces else []
        for job in waiting:
            latest = new.run_at if new.debounce_for is None else job.created_at + new.debounce_for
            run_at = min(new.run_at, latest)
            self._jobs.take_out(job.id)
            self._flow.forget(job.id)
            brought = replace(job, args=new.args, trace=new.trace, priority=new.priority, run_at=run_at)
            self._jobs.put(replace(brought, state=waits_as(run_at, now), waits_on=None))
        return bool(waiting)

    def _start(self, job: JobView, claim: Claim) -> None:
        unique = self._uniques.get(job.id)
        if unique and unique.mode == "pending":
            self._keys.let_go(job.id, unique)
        job = replace(job, state=State.RUNNING, fence=job.fence + 1, worker=claim.worker, progress=None)
        self._jobs.put(replace(job, started_at=claim.now, lease_until=claim.lease_until))

    def _claimed(self, id_: str) -> Claimed:
        job = self._jobs[id_]
        return Claimed(*(getattr(job, field) for field in Claimed._fields))

    def _finish(self, outcome: Outcome, now: datetime) -> JobView | None:
        """Record how an attempt ended; returns the job as it ran, if it was its worker's still."""
        job = found = self._jobs.held(outcome.id, outcome.fence)
        if job is None:
            return None
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
        return found

    def _next_look(self, now: datetime) -> datetime | None:
        moments = [self._jobs.next_moment(), self._flow.next_moment(), now if self._jobs.settled(1) else None]
        return min((max(now, moment) for moment in moments if moment), default=None)

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
        self._jobs.put(replace(job, state=waits_as(job.run_at, now), run_at=max(job.run_at, now)))

    def _failed_for(self, job: JobView) -> JobView:
        """The job as it fails for its oldest child that came to no good end: kept as long as that one."""
        lost = self._jobs.find(Where(groups=(job.id,)), {State.FAILED, State.CANCELLED}, len(self._jobs))
        why = f"its child {lost[-1].id} {_FATES[lost[-1].state]}" if lost else "a child of it, now forgotten, failed"
        return replace(job, reason=why, keep_until=lost[-1].keep_until if lost else None)

    def _renew(self, beat: Beat, lease_until: datetime) -> JobView | None:
        job = self._jobs.held(beat.id, beat.fence)
        if job:
            progress = job.progress if beat.progress is None else beat.progress
            longest = max(lease_until, job.lease_until or lease_until)  # a beat that comes late takes nothing back
            self._jobs.put(replace(job, lease_until=longest, progress=progress))
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
            self._jobs.put(replace(job, waits_on=None))
            self._flow.forget(job.id)

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
        self._flow.forget(id_)
        self._uniques.pop(id_, None)
        self._failures.pop(id_, None)
        self._logs.pop(id_, None)
