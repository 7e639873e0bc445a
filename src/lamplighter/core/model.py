"""The nouns that stores and engine exchange, and the life of a job as data."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Literal, NamedTuple

from msgspec import Struct

from lamplighter.core.flow_control import Order, Turned


class State(StrEnum):
    """Where a job is in its life. `LIVE` states move on by themselves; `ENDED` ones only by an operator's hand.

    `HELD`: it waits until its children have ended. `WAITING`: for its time, or for a worker.
    """

    HELD = "held"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


WAITING = frozenset({State.SCHEDULED, State.QUEUED})
LIVE = WAITING | {State.HELD, State.RUNNING}
ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})


class Priority(IntEnum):
    """Named priorities: the higher number runs first."""

    LOW = -10
    NORMAL = 0
    HIGH = 10
    URGENT = 20


class Transition(NamedTuple):
    """One arrow of the life of a job. `spends`: it counts as a failed attempt."""

    sources: frozenset[State]
    target: State
    spends: bool = False

    @property
    def well(self) -> bool | None:
        """What an attempt that ends so says about the limits of its job: it went well, or badly, or (None) neither."""
        if self.target is State.DONE:
            return True
        return False if self.spends else None


Verb = Literal["done", "fail", "retry", "snooze", "release", "cancel"]

_RUNNING = frozenset({State.RUNNING})

# How an attempt can end. `release` hands a job back unharmed (its worker is stopping).
ATTEMPT_ENDS: dict[Verb, Transition] = {
    "done": Transition(_RUNNING, State.DONE),
    "fail": Transition(_RUNNING, State.FAILED, spends=True),
    "retry": Transition(_RUNNING, State.SCHEDULED, spends=True),
    "snooze": Transition(_RUNNING, State.SCHEDULED),
    "release": Transition(_RUNNING, State.QUEUED),
    "cancel": Transition(_RUNNING, State.CANCELLED),
}

# What time, workers and operators do to a job.
MOVES: dict[str, Transition] = {
    "be let go": Transition(frozenset({State.HELD}), State.QUEUED),
    "lose a child": Transition(frozenset({State.HELD}), State.FAILED),
    "come due": Transition(frozenset({State.SCHEDULED}), State.QUEUED),
    "be claimed": Transition(frozenset({State.QUEUED}), State.RUNNING),
    "be rescued": Transition(_RUNNING, State.QUEUED),
    "be put off": Transition(frozenset({State.QUEUED}), State.SCHEDULED),
    "be cancelled": Transition(WAITING | {State.HELD}, State.CANCELLED),
    "be retried": Transition(frozenset({State.SCHEDULED}) | ENDED, State.QUEUED),
    "be held again": Transition(ENDED, State.HELD),
}

LENGTH_OF_TRACE = 55  # characters of a `traceparent`
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

UniqueMode = Literal["pending", "active", "period"]


class Unique(Struct, frozen=True):
    """A key that at most one job may hold.

    pending: held while the job waits, let go when it starts.
    active: held until the job has ended; only the job itself may hand it on, to its successor.
    period: held until the moment `until`, even after the job has ended.
    """

    key: str
    mode: UniqueMode = "pending"
    until: datetime | None = None


OnChildFailure = Literal["fail", "continue"]


class Children(Struct, frozen=True, kw_only=True):
    """How far the children of a job are: `total` is how many there are to be, the rest is how many there are.

    on_failure: "fail" ends the job as failed as soon as one of them has failed or was cancelled, while the others go
        on; "continue" lets it go once all have ended, however they did.
    """

    total: int
    on_failure: OnChildFailure = "fail"
    added: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        """How many have ended, in whatever way."""
        return self.done + self.failed + self.cancelled

    @property
    def must_fail(self) -> bool:
        """Whether the job must not run any more, for one of them came to no good end."""
        return self.on_failure == "fail" and self.failed + self.cancelled > 0

    @property
    def settled(self) -> bool:
        """Whether the job need not wait any longer: it is let go, or fails."""
        return self.must_fail or self.ended >= self.total


class NewJob(Struct, frozen=True, kw_only=True):
    """A job to add. `args` is JSON; `parent` is the id of the running job that adds it, if one does.

    `children`: it is held until so many jobs of its group have ended; `on_child_failure` is as in `Children`.
    `group`: the id of the job that is held for this one, among others. Such a job can have no unique key: a child that
    is not added would be waited for in vain.

    `replaces`: a job of the same name that waits and holds its unique key gets its arguments, priority and `run_at`,
    which is then not later than `debounce_for` after that job was created. All else of that job stays.

    `limits`: the keys of the limits that it comes under, such as `provider:google`; it runs when all let it through.

    `created_at`, `failures` and `crashes` are of jobs with a past: those that come from another store.

    `trace`: the span that it was enqueued in, as `traceparent` of W3C Trace Context has it.
    """

    id: str
    name: str
    queue: str
    run_at: datetime
    args: str = "{}"
    priority: int = Priority.NORMAL
    tenant: str | None = None
    limits: tuple[str, ...] = ()
    unique: Unique | None = None
    parent: str | None = None
    replaces: bool = False
    debounce_for: timedelta | None = None
    created_at: datetime | None = None
    failures: int = 0
    crashes: int = 0
    children: int | None = None
    on_child_failure: OnChildFailure = "fail"
    group: str | None = None
    trace: str | None = None

    def __post_init__(self) -> None:
        if self.trace is not None and not _TRACE.fullmatch(self.trace):
            raise ValueError("a trace is what `traceparent` of W3C Trace Context holds: give that, or none.")
        if self.children is not None and self.children < 0:
            raise ValueError(f"a job cannot wait for {self.children} children: give 0 or more.")
        if self.group is not None and (self.unique is not None or self.group == self.id):
            raise ValueError("a job of a group has no unique key, and is not of its own group: leave one out.")


class Added(NamedTuple):
    """The answer to one `NewJob`: its own id, or the id of the job that holds its unique key.

    `created` is False under its own id where it is of a group that nobody is held for (any more).
    `replaced`: the holder waits, and goes on with what this one brought.
    """

    id: str
    created: bool
    replaced: bool = False


class Claimed(NamedTuple):
    """A job as its worker gets it. `(id, fence)` names this one attempt: nothing else may finish it.

    `failures` counts attempts that failed, `crashes` those whose worker vanished.
    """

    id: str
    fence: int
    name: str
    queue: str
    tenant: str | None
    args: str
    priority: int
    run_at: datetime
    created_at: datetime
    failures: int
    crashes: int
    trace: str | None = None


FailureKind = Literal["error", "timeout", "crash"]


class Failure(Struct, frozen=True, kw_only=True):
    """Why one attempt failed. `error` is the exception's type, `message` and `traceback` its text, bounded."""

    fence: int
    at: datetime
    kind: FailureKind
    error: str
    message: str
    traceback: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """How one attempt ended.

    `run_at`: when to try again; `keep_until`: when the ended job may be forgotten (None: never). `orders`: what gates
    are to do once it is recorded.
    """

    id: str
    fence: int
    verb: Verb
    run_at: datetime | None = None
    result: str | None = None
    reason: str | None = None
    failure: Failure | None = None
    keep_until: datetime | None = None
    orders: tuple[Order, ...] = ()


class Beat(NamedTuple):
    """One running job whose lease is to be renewed, with its progress (JSON) if that changed."""

    id: str
    fence: int
    progress: str | None = None


class Beaten(NamedTuple):
    """What became of the beats: `stop` were asked to stop by an operator, `lost` belong to someone else by now."""

    stop: list[str]
    lost: list[str]


class Swept(NamedTuple):
    """What time made true: how many came due, were let go by their children, or may go where they waited; which were
    rescued from dead workers; and when to look again.

    `failed`: those that were held, and failed because a child of theirs did. `turned`: which breakers opened or closed
    since the last sweep.
    """

    due: int
    rescued: list[str]
    next_at: datetime | None
    failed: tuple[str, ...] = ()
    turned: tuple[Turned, ...] = ()

    @property
    def has_news(self) -> bool:
        """Whether anything became true."""
        return bool(self.due or self.rescued or self.failed or self.turned)


class Cancelled(NamedTuple):
    """`ended` never started; `asked` are running and will be told to stop."""

    ended: list[str]
    asked: list[str]


class Where(Struct, frozen=True, kw_only=True):
    """Which jobs: every filter that is not empty must match. `groups`: the children of these."""

    ids: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    groups: tuple[str, ...] = ()

    def told(self) -> dict[str, object]:
        """What it says, for a log: of ids, how many."""
        lists = {"queues": self.queues, "names": self.names, "tenants": self.tenants, "parents": self.groups}
        told: dict[str, object] = {name: list(some) for name, some in lists.items() if some}
        if self.states:
            told["states"] = [str(state) for state in self.states]
        return told | ({"ids": len(self.ids)} if self.ids else {})


class JobView(Struct, frozen=True, kw_only=True):
    """A job as people see it. `result`, `progress` and `args` are JSON.

    `waits_on`: of its `limits`, the one that a queued job waits for; None: it stands in the line of its queue.
    """

    id: str
    name: str
    queue: str
    tenant: str | None
    state: State
    priority: int
    run_at: datetime
    created_at: datetime
    args: str
    fence: int
    failures: int
    crashes: int
    unique: Unique | None
    limits: tuple[str, ...]
    waits_on: str | None
    worker: str | None
    started_at: datetime | None
    lease_until: datetime | None
    stopping: bool
    progress: str | None
    ended_at: datetime | None
    keep_until: datetime | None
    result: str | None
    reason: str | None
    group: str | None = None
    children: Children | None = None
    trace: str | None = None


class EndedJob(Struct, frozen=True, kw_only=True):
    """How a job ended, without what it was given or came to. `started_at` is None if it never ran."""

    id: str
    name: str
    queue: str
    tenant: str | None
    state: State
    fence: int
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime

    @property
    def place(self) -> EndedPlace:
        """Where it stands among all that have ended."""
        return EndedPlace(self.ended_at, self.id)


class EndedPlace(NamedTuple):
    """A place among ended jobs: they go by when they ended, then by id."""

    ended_at: datetime
    id: str = ""


MOST_LINES = 100


class Arguments(NamedTuple):
    """What a job was given, as JSON."""

    id: str
    args: str


class QueueStats(Struct, frozen=True, kw_only=True):
    """How many jobs of a queue are in each state (ended ones: as far as they are still kept).

    `oldest`: since when the job is due that has waited longest in line. Jobs that wait for a limit stand in no line. Of
    very many lines (one for each tenant and priority), `MOST_LINES` are looked at.
    """

    queue: str
    paused: bool
    held: int = 0
    scheduled: int = 0
    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    oldest: datetime | None = None


class Keep(Struct, frozen=True):
    """How many ended jobs of one kind a queue keeps at most."""

    done: int = 100_000
    failed: int = 100_000


class Record(Struct, frozen=True, kw_only=True):
    """A small named fact that processes share: a worker's presence, a schedule's last slot. `value` is JSON."""

    kind: str
    name: str
    value: str
    expires_at: datetime | None = None
