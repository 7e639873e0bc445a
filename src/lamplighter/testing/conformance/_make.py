"""Jobs, attempts and moments for the tests of this package."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lamplighter.core.clock import to_us
from lamplighter.core.flow_control import GateView
from lamplighter.core.ids import new_id
from lamplighter.core.model import Claimed, Failure, JobView, NewJob, Outcome, Unique, Verb, Where
from lamplighter.store.base import Store
from lamplighter.store.rules import Rule, record_of

OpenAgain = Callable[[], Store]

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LEASE = timedelta(seconds=30)
EVERY = Where()
MANY = 1000


def later(seconds: float) -> datetime:
    """So many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def job(*, queue: str = "mail", name: str = "send", run_at: datetime = NOW, **changes: Any) -> NewJob:
    """A job whose id is greater than those of the jobs made before it."""
    return NewJob(id=new_id(to_us(NOW)), name=name, queue=queue, run_at=run_at, **changes)


def unique(key: str = "the key", *, parent: str | None = None, **changes: Any) -> NewJob:
    """A job under a unique key; `mode` and `until` are those of `Unique`."""
    fields = {name: changes.pop(name) for name in ("mode", "until") if name in changes}
    return job(unique=Unique(key, **fields), parent=parent, **changes)


def parent(children: int, **changes: Any) -> NewJob:
    """A job that is held for so many children."""
    return job(name="report", children=children, **changes)


def children_of(of: NewJob, n: int, **changes: Any) -> list[NewJob]:
    """So many jobs that it is held for."""
    return [job(group=of.id, **changes) for _ in range(n)]


async def add(store: Store, *jobs: NewJob, now: datetime = NOW) -> list[str]:
    """The ids of jobs, added one call for all; each must have been created."""
    added = await store.add(jobs, now=now)
    assert all(one.created for one in added), f"{added} should all have been created"
    return [one.id for one in added]


async def claim(
    store: Store, limit: int = MANY, *, now: datetime = NOW, worker: str = "w-1", queue: str = ""
) -> list[Claimed]:
    """Up to `limit` claimed jobs, of one queue or of all."""
    return await store.claim([queue] if queue else [], limit, worker=worker, lease=LEASE, now=now)


async def started(store: Store, new: NewJob | None = None, *, now: datetime = NOW) -> Claimed:
    """The attempt at a job that was added to an idle store and claimed at once."""
    [id_] = await add(store, new or job(), now=now)
    [attempt] = await claim(store, now=now)
    assert attempt.id == id_, "the store held another job that could be claimed"
    return attempt


def outcome(attempt: Claimed, verb: Verb, **changes: Any) -> Outcome:
    """How an attempt ended."""
    return Outcome(id=attempt.id, fence=attempt.fence, verb=verb, **changes)


async def end(store: Store, attempt: Claimed, verb: Verb, *, now: datetime = NOW, **changes: Any) -> None:
    """Finish an attempt, which must be its worker's still."""
    assert await store.finish([outcome(attempt, verb, **changes)], now=now) == [attempt.id]


async def ended(
    store: Store, verb: Verb = "done", *, now: datetime = NOW, new: NewJob | None = None, **changes: Any
) -> str:
    """The id of a job that was added, claimed and finished."""
    attempt = await started(store, new, now=now)
    await end(store, attempt, verb, now=now, **changes)
    return attempt.id


async def see(store: Store, id_: str) -> JobView:
    """The job as people see it."""
    [view] = await store.page(Where(ids=(id_,)), limit=2)
    return view


async def ids_of(store: Store, where: Where = EVERY) -> list[str]:
    """The ids of the jobs that match, newest first."""
    return [view.id for view in await store.page(where, limit=MANY)]


def failure(attempt: Claimed, message: str = "no answer", *, at: datetime = NOW) -> Failure:
    """Why an attempt failed."""
    return Failure(fence=attempt.fence, at=at, kind="error", error="OSError", message=message, traceback="Traceback: …")


async def rule(store: Store, name: str, rule_: Rule) -> None:
    """Set the rule of a limit, a queue or a tenant."""
    await store.put(record_of(name, rule_))


async def gate(store: Store, key: str, *, now: datetime = NOW) -> GateView:
    """A gate as people see it."""
    [view] = await store.gates([key], limit=2, now=now)
    return view
