"""What every store can do. Many is the primitive: each call is one round trip however many jobs it names.

The caller passes `now`; a store keeps no clock, retry policy, schedule or telemetry. Every write states the state that
it expects, so a worker that lost its lease can overwrite nothing. Each promise here has tests in
`lamplighter.testing.conformance`, which every store passes unchanged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol, Self

from lamplighter.core.flow_control import GateView, Order, ShareView
from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.core.model import (
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
    Swept,
    Where,
)


class Store(Protocol):
    """A place for jobs. Open it with `async with`; its methods may then be called from any loop of any thread."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        """Add jobs, durably, in order; one answer each. Adding an id again changes nothing, even after the job ended.

        A job with `children` is held. One of a group is added only while the job that it is a child of is held: so that
        one comes first. Whoever was interrupted adds all again.
        A job whose unique key is held is not added, unless the holder is its own `parent`, which hands the key on.
        If it `replaces`, a holder that waits and has its name goes on with what it brings; any other stays as it is.
        With `tx`, an open transaction of the caller's on the same database, the jobs exist once that commits.

        Where a queue has a rule that bounds it, a batch that does not fit is refused whole (jobs that are known count
        as nothing, those whose key is held count as new), or with `drop` the oldest that wait are cancelled, by id.
        Stores in which several transactions add at once may go beyond the bound by what those add.

        Raises:
            QueueFull: there are too many waiting jobs in a queue, or of a tenant in it.
            TransactionUnsupported: `tx` is not a transaction that this store can join.
        """

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> list[Added]:
        """`add` inside a synchronous transaction (sqlite3, or SQLAlchemy over it), without awaiting."""

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        """Take up to `limit` queued jobs for a worker. Each has a new fence, and a lease for so long.

        No `queues` means all. Jobs of paused queues stay. The highest priority goes first; of its queues the one whose
        next job is due first, and then the others. Within a queue and priority the tenants go by their tags, each with
        its earliest due job first: a tenant's tag goes up by `charge_of` its weight with each job, from where the queue
        is (the highest tag that was served), so that one that was idle has saved nothing up.

        A job goes only if all of its limits let it through (`flow_control.Gate`). It then holds a slot of each until it
        stops running. Otherwise it waits before the first gate that is shut, at no cost, until `claim` or `sweep` finds
        that gate to have room; its tenant is not charged.

        It goes in rounds. A round plans as many jobs as are still wanted, as if all were let through (of those with
        equal tags, by the tenant's name); where some were not, another round follows. After a thousand that were not,
        the rest is left to the next claim, and `wake` tells of it.
        """

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        """Record how attempts ended; returns the ids that won. One that lost its lease changes nothing.

        Their limits learn it: done went well, fail and retry badly, and the rest says nothing; then they obey `orders`.

        A job that was asked to stop is cancelled if its attempt ends in any way other than done or fail. A job whose
        `keep_until` is not later than `now` is forgotten at once; one of a group by the next prune.
        """

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        """Renew leases of running jobs, store their progress, and learn which must stop.

        A beat that comes late shortens no lease.
        """

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        """Queue up to `limit` scheduled jobs that are due, and up to `limit` whose lease ran out (as a crash).

        Of up to `limit` held jobs whose children are settled, let go those that may run: to wait for their time if that
        is yet to come, else in line from now on. The others fail with a reason that names the oldest child that failed
        or was cancelled, and are kept as long as that one.

        Jobs before a gate that has room for them stand in the line of their queue again, and count as due. Tells which
        breakers opened or closed, once.
        """

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        """Cancel up to `limit` waiting jobs at once, and ask running ones to stop."""

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        """Queue up to `limit` ended or scheduled jobs now, with their failures and crashes forgiven.

        A job that has children is held again: the next sweep judges by what those have come to meanwhile.
        """

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        """Forget up to `limit` ended jobs past `keep_until` or beyond a queue's `keep`, and expired records.

        Children are spared while the job that they are children of is live.
        """

    async def forget(self, where: Where, *, limit: int) -> list[str]:
        """Forget up to `limit` ended jobs now, with why they failed; returns their ids, newest first.

        Children are spared as `prune` spares them.
        """

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        """Jobs, newest first; go on with `before` = the last id of the page."""

    async def arguments(self, where: Where, *, limit: int, before: str | None = None) -> list[Arguments]:
        """The arguments of the jobs that `page` would give: for who looks through very many."""

    async def ended(self, after: EndedPlace, *, limit: int) -> list[EndedJob]:
        """Up to `limit` ended jobs that are still kept, by when they ended, then by id: those that follow that place.

        Whoever writes at the same time may yet put some before the last that were given, by as much as clocks differ
        and a transaction takes: who must not miss any looks again from a little earlier.
        """

    async def failures(self, job: str) -> list[Failure]:
        """Why attempts of this job failed, oldest first (the last 20 are kept)."""

    async def log(self, logged: Sequence[Logged], *, keep: int) -> None:
        """Keep what running jobs log, the last `keep` lines of each, until the job is forgotten.

        An attempt that lost its lease, or has ended, adds nothing. A line that is there already stays as it is, so
        whoever got no answer sends all again.
        """

    async def logs(self, job: str, *, limit: int, after: LogPlace | None = None) -> list[LogLine]:
        """Up to `limit` lines that a job logged, the oldest first: those that follow that place; of none, the last."""

    async def stats(self) -> list[QueueStats]:
        """Counts by queue and state, and what waits longest; how many jobs there are makes no difference."""

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or let go the claims on a queue; running jobs go on."""

    async def put(self, record: Record) -> None:
        """Write a record over the one of its kind and name. Rules of flow control are records, and count at once."""

    async def drop(self, kind: str, name: str) -> None:
        """Remove a record, if it is there."""

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        """The records of a kind that have not expired, by name."""

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        """Have gates do what an operator wants."""

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        """The gates of these keys; of none, those that are in use, not closed, or have jobs waiting, by key."""

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        """The lines of a queue's tenants that have jobs to claim: by priority, then who is next."""

    async def time(self) -> datetime | None:
        """What the store's own clock shows; None where it has no other than this machine's."""

    def wake(self) -> AsyncIterator[None]:
        """Yields soon after jobs may have changed. Only a hint: polling alone must suffice."""
