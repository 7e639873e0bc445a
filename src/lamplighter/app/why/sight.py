"""What the store tells of a job and of whatever may be in its way: a few reads, however many jobs there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import Struct

from lamplighter.core.definition import Registry
from lamplighter.core.flow_control import GateView
from lamplighter.core.model import LIVE, Failure, JobView, QueueStats, Record, State, Where
from lamplighter.engine.lease import KIND, LEASES_REMEMBERED, Presence
from lamplighter.store.base import Store

DEAF_AFTER = timedelta(seconds=15)  # a worker with room claims each second, unless its loop or its store hangs
MOST_IN_LINE = 1000  # queued jobs that are looked at one by one
MOST_SHARES = 10_000  # tenants of a queue
MOST_HOLDERS = 5
MOST_LIVE = 10_000  # jobs in the store past which not even that is done: a page may have to pass over all of them
REMEMBERED = timedelta(days=30)  # how long ago a dead worker may have beaten that is still told of


class WorkerSeen(Struct, frozen=True):
    """A worker as its record tells of it. `lease`: for how long it takes jobs; `heard_at`: when it last claimed."""

    name: str
    told: Presence
    beat_at: datetime
    heard_at: datetime
    lease: timedelta

    def is_alive(self, now: datetime) -> bool:
        """Whether it has beaten within a lease. One that was killed is on record for longer."""
        return now < self.beat_at + self.lease

    def serves(self, queue: str) -> bool:
        """Whether a queue is among its own."""
        return not self.told.queues or queue in self.told.queues

    def takes(self, queue: str) -> bool:
        """Whether it serves a queue, and does not stop."""
        return self.serves(queue) and not self.told.stopping

    @property
    def started_at(self) -> datetime:
        """Since when it works."""
        return datetime.fromisoformat(self.told.started_at)

    @property
    def claimed_at(self) -> datetime | None:
        """When it last claimed; None: not yet."""
        return None if self.told.claimed_at is None else datetime.fromisoformat(self.told.claimed_at)

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return self.told.running < self.told.concurrency

    def silent_claims(self, now: datetime) -> timedelta:
        """How long it has not claimed."""
        return now - self.heard_at

    def is_deaf(self, now: datetime) -> bool:
        """Whether it could claim, and does not."""
        return self.has_room and self.silent_claims(now) > DEAF_AFTER


class Place(NamedTuple):
    """How many jobs of its queue go first, or about so many if that is not exact; how many of its own tenant, and how
    many other tenants take turns with that."""

    ahead: int
    exact: bool
    own: int
    tenants: int


class Offspring(NamedTuple):
    """The live children of a held job: how many run and wait (None: too many to look at), and the oldest of those."""

    running: int | None
    waiting: int | None
    oldest: str | None


class Sight(Struct, frozen=True, kw_only=True):
    """All that the blockers of one job are found in. `seen`: workers on record, dead ones too.

    `gates`: those of its limits, if it is queued; `holders`: for those that are full, some of the jobs that run there.
    `registry`: the jobs of the app that asks, if one does.
    """

    id: str
    now: datetime
    view: JobView | None
    failures: list[Failure]
    queue: QueueStats
    seen: list[WorkerSeen]
    place: Place | None
    gates: list[GateView]
    holders: dict[str, tuple[str, ...]]
    registry: Registry | None
    children: Offspring | None = None

    @property
    def waiting(self) -> JobView | None:
        """The job, if it waits for a worker or for its time."""
        return self.view if self.view and self.view.state in {State.SCHEDULED, State.QUEUED} else None

    @property
    def is_due(self) -> bool:
        """Whether it waits, and for no later moment."""
        return self.waiting is not None and self.waiting.run_at <= self.now

    @property
    def alive(self) -> list[WorkerSeen]:
        """Workers that beat."""
        return [worker for worker in self.seen if worker.is_alive(self.now)]

    @property
    def serving(self) -> list[WorkerSeen]:
        """Those of its queue."""
        return [worker for worker in self.alive if worker.serves(self.queue.queue)]

    @property
    def claiming(self) -> list[WorkerSeen]:
        """Those of its queue that claim jobs, or would if they had room."""
        return [one for one in self.serving if not one.told.stopping and not one.is_deaf(self.now)]

    @property
    def last_failure(self) -> Failure | None:
        """How its last attempt failed, if it did."""
        last = self.failures[-1] if self.failures else None
        return last if last and self.view and last.fence == self.view.fence else None


async def look(store: Store, job: str, *, now: datetime, registry: Registry | None = None) -> Sight:
    """Look at a job, and at what is around it."""
    found = await store.page(Where(ids=(job,)), limit=1)
    view = found[0] if found else None
    stats = await store.stats() if view else []
    return Sight(
        id=job,
        now=now,
        view=view,
        failures=await store.failures(job) if view else [],
        queue=_queue_of(view, stats),
        seen=await workers_seen(store, now=now) if view else [],
        place=await _place(store, view, stats) if view else None,
        gates=(gates := await _gates(store, view, now)),
        holders={gate.key: await _holders(store, gate) for gate in gates if is_full(gate)},
        registry=registry,
        children=await _children(store, view) if view and view.state is State.HELD else None,
    )


async def _children(store: Store, view: JobView) -> Offspring:
    """Counted where they are few; they are pages of an index otherwise."""
    live = tuple(LIVE)
    found = await store.page(Where(groups=(view.id,), states=live), limit=MOST_IN_LINE + 1)
    running = sum(one.state is State.RUNNING for one in found)
    if len(found) > MOST_IN_LINE:
        return Offspring(None, None, found[-1].id)
    oldest = next((one.id for one in reversed(found) if one.state is not State.RUNNING), None)
    return Offspring(running, len(found) - running, oldest or (found[-1].id if found else None))


def _queue_of(view: JobView | None, stats: list[QueueStats]) -> QueueStats:
    name = view.queue if view else ""
    return next((one for one in stats if one.queue == name), QueueStats(queue=name, paused=False))


async def workers_seen(store: Store, *, now: datetime) -> list[WorkerSeen]:
    """The workers on record. Those that died have expired, but are told of until somebody prunes them."""
    records = await store.records(KIND, now=now - REMEMBERED)
    return [seen for record in records if (seen := _worker_of(record))]


def _worker_of(record: Record) -> WorkerSeen | None:
    """None for a record of another version of ours, which may tell other things."""
    try:
        told = msgspec.json.decode(record.value, type=Presence)
        beat_at = datetime.fromisoformat(told.beat_at)
        heard_at = datetime.fromisoformat(told.claimed_at or told.started_at)
    except (msgspec.MsgspecError, ValueError):
        return None
    lease = ((record.expires_at or beat_at) - beat_at) / LEASES_REMEMBERED
    return WorkerSeen(record.name, told, beat_at, heard_at, lease)


async def _place(store: Store, view: JobView, stats: list[QueueStats]) -> Place | None:
    """As the shares of its queue allow to say; of its own tenant they are counted where that costs little."""
    if view.state is not State.QUEUED or view.waits_on is not None:
        return None
    shares = await store.shares(view.queue, limit=MOST_SHARES)
    higher = sum(share.queued for share in shares if share.priority > view.priority)
    equal = [share for share in shares if share.priority == view.priority]
    mine = sum(share.queued for share in equal if share.tenant == (view.tenant or ""))
    others = [share.queued for share in equal if share.tenant != (view.tenant or "")]
    own, exact = await _own(store, view, mine, stats)
    by_turns = sum(min(queued, own + 1) for queued in others)
    return Place(higher + own + by_turns, exact=exact and not others, own=own, tenants=len(others))


async def _own(store: Store, view: JobView, mine: int, stats: list[QueueStats]) -> tuple[int, bool]:
    """How many of its own tenant and priority go first, and whether they were counted."""
    queued = sum(one.queued for one in stats if one.queue == view.queue)
    live = sum(one.held + one.scheduled + one.queued + one.running for one in stats)
    if queued > MOST_IN_LINE or live > MOST_LIVE:
        return max(0, mine - 1), mine <= 1
    line = await store.page(Where(queues=(view.queue,), states=(State.QUEUED,)), limit=MOST_IN_LINE)
    return sum(_is_before(one, view) for one in line), True


def _is_before(one: JobView, view: JobView) -> bool:
    """Whether it stands before it in the same line: see `Store.claim`."""
    line = (view.priority, view.tenant or "", None)
    return (one.priority, one.tenant or "", one.waits_on) == line and (one.run_at, one.id) < (view.run_at, view.id)


async def _gates(store: Store, view: JobView | None, now: datetime) -> list[GateView]:
    if view is None or view.state is not State.QUEUED or not view.limits:
        return []
    gates = await store.gates(view.limits, limit=len(view.limits), now=now)
    return sorted(gates, key=lambda gate: view.limits.index(gate.key))


def is_full(gate: GateView) -> bool:
    """Whether all of its slots are taken."""
    return gate.rule.running is not None and gate.running >= gate.rule.running


async def _holders(store: Store, gate: GateView) -> tuple[str, ...]:
    """Some of the jobs that hold its slots, if they are among the newest that run."""
    running = await store.page(Where(states=(State.RUNNING,)), limit=MOST_IN_LINE)
    return tuple(view.id for view in running if gate.key in view.limits)[:MOST_HOLDERS]
