"""What is shown of jobs, and of whom. Tenants see how a job of theirs goes; how it is made is the host's affair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Raw, structs

from lamplighter.app.editing import Lineage
from lamplighter.core.model import ENDED, Children, Failure, FailureKind, JobView, State
from lamplighter.web.answers import Shown
from lamplighter.web.roles import Caller, Role


class ShownJob(Shown, frozen=True, kw_only=True):
    """A job. Tenants see none of `args`, `worker`, `unique_key`, `limits` and `waits_on`, nor the reason of a failure,
    which is the text of an exception."""

    id: str
    name: str
    queue: str
    tenant: str | None
    state: State
    priority: int
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    kept_until: datetime | None
    attempts: int
    failures: int
    crashes: int
    args: Raw | None
    progress: Raw | None
    result: Raw | None
    reason: str | None
    worker: str | None
    parent: str | None
    stopping: bool
    unique_key: str | None
    limits: tuple[str, ...]
    waits_on: str | None
    children: ShownChildren | None


class ShownChildren(Shown, frozen=True, kw_only=True):
    """How far the children are that a job waits for."""

    total: int
    added: int
    done: int
    failed: int
    cancelled: int


class ShownFailure(Shown, frozen=True, kw_only=True):
    """Why an attempt failed. Tenants see when, and of which kind."""

    attempt: int
    at: datetime
    kind: FailureKind
    error: str | None
    message: str | None
    traceback: str | None


class ShownMoment(Shown, frozen=True, kw_only=True):
    """Something that happened to a job, or, of one that is scheduled, will."""

    at: datetime
    what: Literal["created", "due", "attempt-failed", "started", "done", "failed", "cancelled"]
    attempt: int | None = None


class WholeJob(ShownJob, frozen=True, kw_only=True):
    """The job with its past: the last 20 attempts that failed, and its life as far as the store knows of it.

    `edited_from`: the job that it was made of; `edited_into`: those that were made of it.
    """

    failed_attempts: list[ShownFailure]
    timeline: list[ShownMoment]
    edited_from: str | None
    edited_into: list[str]


def shown(one: JobView, caller: Caller) -> ShownJob:
    """The job, as far as the caller may see it."""
    inside = is_insider(caller)
    return ShownJob(
        id=one.id,
        name=one.name,
        queue=one.queue,
        tenant=one.tenant,
        state=one.state,
        priority=one.priority,
        run_at=one.run_at,
        created_at=one.created_at,
        started_at=one.started_at,
        ended_at=one.ended_at,
        kept_until=one.keep_until,
        attempts=one.fence,
        failures=one.failures,
        crashes=one.crashes,
        args=raw(one.args) if inside else None,
        progress=raw(one.progress),
        result=raw(one.result),
        reason=one.reason if inside or one.state is not State.FAILED else None,
        worker=one.worker if inside else None,
        parent=one.group,
        stopping=one.stopping,
        unique_key=one.unique.key if one.unique and inside else None,
        limits=one.limits if inside else (),
        waits_on=one.waits_on if inside else None,
        children=_children(one.children),
    )


def whole(one: JobView, failures: Sequence[Failure], edited: Lineage, caller: Caller) -> WholeJob:
    """The same with its past."""
    inside = is_insider(caller)
    return WholeJob(
        **structs.asdict(shown(one, caller)),
        failed_attempts=[_failure(failure, inside=inside) for failure in failures],
        timeline=sorted(_moments(one, failures), key=lambda moment: moment.at),
        edited_from=edited.made_of,
        edited_into=edited.made_into,
    )


def is_insider(caller: Caller) -> bool:
    """Whether the caller may see how the host's jobs are made."""
    return caller.role is not Role.TENANT


def raw(json: str | None) -> Raw | None:
    """What is JSON already."""
    return None if json is None else Raw(json.encode())


def _children(counted: Children | None) -> ShownChildren | None:
    if counted is None:
        return None
    return ShownChildren(
        total=counted.total,
        added=counted.added,
        done=counted.done,
        failed=counted.failed,
        cancelled=counted.cancelled,
    )


def _failure(one: Failure, *, inside: bool) -> ShownFailure:
    return ShownFailure(
        attempt=one.fence,
        at=one.at,
        kind=one.kind,
        error=one.error if inside else None,
        message=one.message if inside else None,
        traceback=one.traceback if inside else None,
    )


def _moments(one: JobView, failures: Sequence[Failure]) -> Iterator[ShownMoment]:
    yield ShownMoment(at=one.created_at, what="created")
    if one.run_at > one.created_at:
        yield ShownMoment(at=one.run_at, what="due")
    if one.started_at is not None:
        yield ShownMoment(at=one.started_at, what="started", attempt=one.fence)
    for failure in failures:
        yield ShownMoment(at=failure.at, what="attempt-failed", attempt=failure.fence)
    if one.ended_at is not None and one.state in ENDED:
        yield ShownMoment(at=one.ended_at, what=_END[one.state])


_END: dict[State, Literal["done", "failed", "cancelled"]] = {
    State.DONE: "done",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
