"""What can keep a job from running: one kind of blocker each, with its figures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from lamplighter.core.flow_control import GateState
from lamplighter.core.model import State


class Blocker(Struct, frozen=True, kw_only=True):
    """One reason why a job does not run.

    `kind` is for programs; `says` is a sentence for people, which says what to do. The figures in it are the other
    fields; lengths of time are seconds.
    """

    kind: str
    says: str


class NotThere(Blocker, frozen=True, kw_only=True):
    """The store has no such job. `made_at`: when its id was made, if it is one of ours."""

    kind: Literal["not_there"] = "not_there"
    made_at: datetime | None


class KeyHeld(Blocker, frozen=True, kw_only=True):
    """The job was not added, because `holder` holds its unique key; `key` is the one that `holder` was added under."""

    kind: Literal["key_held"] = "key_held"
    holder: str
    key: str | None
    until: datetime | None


class Ended(Blocker, frozen=True, kw_only=True):
    """It has ended. `keep_until`: when it may be forgotten; None is never."""

    kind: Literal["ended"] = "ended"
    state: State
    ended_at: datetime | None
    keep_until: datetime | None
    reason: str | None


class Running(Blocker, frozen=True, kw_only=True):
    """A worker runs it. `progress` is JSON; `stopping`: it was asked to stop."""

    kind: Literal["running"] = "running"
    worker: str | None
    started_at: datetime | None
    lease_left: float
    stopping: bool
    progress: str | None


class Abandoned(Blocker, frozen=True, kw_only=True):
    """Its worker died or hangs, and its lease is over or will be. `workers`: those alive, any of which rescues it."""

    kind: Literal["abandoned"] = "abandoned"
    worker: str | None
    lease_left: float
    workers: int


class UnknownName(Blocker, frozen=True, kw_only=True):
    """An app has no job of its name. `again_at`: when it is tried again, if a worker has put it back."""

    kind: Literal["unknown_name"] = "unknown_name"
    name: str
    again_at: datetime | None


class Held(Blocker, frozen=True, kw_only=True):
    """It is held until its children have ended. `missing`: of `total`, so many were never added.

    `running` and `waiting` are None where they are too many to be counted; `next`: a child that is under way.
    """

    kind: Literal["held"] = "held"
    total: int
    ended: int
    missing: int
    running: int | None
    waiting: int | None
    next: str | None


class Paused(Blocker, frozen=True, kw_only=True):
    """Its queue is paused. `queued`: jobs that wait there."""

    kind: Literal["paused"] = "paused"
    queue: str
    queued: int


class NoWorker(Blocker, frozen=True, kw_only=True):
    """No worker is alive. `silent_for`: since the last one beat, if the store still knows of one."""

    kind: Literal["no_worker"] = "no_worker"
    queue: str
    silent_for: float | None


class NotServed(Blocker, frozen=True, kw_only=True):
    """All workers that are alive are for other queues. `silent_for`: since the last one of this queue beat."""

    kind: Literal["not_served"] = "not_served"
    queue: str
    workers: int
    queues: tuple[str, ...]
    silent_for: float | None


class Stopping(Blocker, frozen=True, kw_only=True):
    """All workers that serve its queue are stopping: they claim nothing more."""

    kind: Literal["stopping"] = "stopping"
    queue: str
    workers: tuple[str, ...]


class Deaf(Blocker, frozen=True, kw_only=True):
    """Workers of its queue beat and have room, but do not claim. `deaf_for`: the shortest time since one claimed."""

    kind: Literal["deaf"] = "deaf"
    queue: str
    workers: tuple[str, ...]
    deaf_for: float


class Overdue(Blocker, frozen=True, kw_only=True):
    """It is due, but no worker has queued it yet."""

    kind: Literal["overdue"] = "overdue"
    run_at: datetime
    late: float


class Scheduled(Blocker, frozen=True, kw_only=True):
    """Its time has not come. `attempt` is the one it will be.

    `because`: it was added so, its last attempt failed, or that put it off (a snooze). `error` is of the failure.
    """

    kind: Literal["scheduled"] = "scheduled"
    run_at: datetime
    left: float
    attempt: int
    failures: int
    because: Literal["added", "failure", "snooze"]
    error: str | None


class Busy(Blocker, frozen=True, kw_only=True):
    """All workers of its queue are full: `running` of `concurrency` slots."""

    kind: Literal["busy"] = "busy"
    queue: str
    workers: int
    running: int
    concurrency: int


class LimitShut(Blocker, frozen=True, kw_only=True):
    """One of its limits does not let it through: all slots are taken, its pace or a penalty holds it back, its breaker
    is open or being tried.

    `opens_in`: when time alone opens it (None: a job has to end, or an operator to close it). `most`: slots, if they
    are limited; `holders`: some of the jobs that hold them. `waiting`: jobs before this gate. `held`: by an operator.
    """

    kind: Literal["limit"] = "limit"
    key: str
    because: Literal["running", "rate", "breaker"]
    opens_in: float | None
    running: int
    most: int | None
    holders: tuple[str, ...]
    waiting: int
    state: GateState
    held: bool


class Skipped(Blocker, frozen=True, kw_only=True):
    """The last slot of a schedule became no job: `holder` has the unique key of its jobs. What follows is about it."""

    kind: Literal["skipped"] = "skipped"
    slot: datetime | None
    holder: str


class NotFired(Blocker, frozen=True, kw_only=True):
    """A slot of a schedule has passed, and no worker that has the schedule was there."""

    kind: Literal["not_fired"] = "not_fired"
    slot: datetime
    late: float
    workers: int


class CronPaused(Blocker, frozen=True, kw_only=True):
    """An operator has paused the schedule."""

    kind: Literal["cron_paused"] = "cron_paused"
    since: datetime


class NextSlot(Blocker, frozen=True, kw_only=True):
    """The next slot of a schedule is yet to come. `last_at`: the one before it that was looked at."""

    kind: Literal["next_slot"] = "next_slot"
    slot: datetime
    left: float
    last_at: datetime | None


class InLine(Blocker, frozen=True, kw_only=True):
    """Jobs of its queue go first: `ahead` of them, or about so many if that is not `exact`.

    `own`: those of its own tenant and priority. `tenants`: others that have jobs and take turns with its tenant.
    """

    kind: Literal["in_line"] = "in_line"
    queue: str
    ahead: int
    exact: bool
    own: int
    tenants: int
