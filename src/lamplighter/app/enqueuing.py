"""Enqueueing: from drafts to jobs in the store, and handles to follow them by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

from lamplighter.app.flows import batches
from lamplighter.app.handle import Handle
from lamplighter.app.results import Results
from lamplighter.app.rules import Rules
from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.core.draft import Draft
from lamplighter.core.errors import ConfigError
from lamplighter.core.events import Bus, Event, Listener
from lamplighter.core.flow import Flow
from lamplighter.core.model import Added, NewJob
from lamplighter.engine.context import CURRENT_JOB
from lamplighter.observe.meter import Meter
from lamplighter.observe.observed_store import ObservedStore
from lamplighter.observe.tracing import Sending
from lamplighter.store.base import Store

D = TypeVar("D")
R = TypeVar("R")

MOST_TOGETHER = 1000  # jobs in one call of the store


class Enqueuing(Generic[D]):
    """The part of an app that adds jobs."""

    def __init__(self, store: Store, *, deps: D, settings: Settings, clock: Clock) -> None:
        self.meter = Meter(tenants=settings.metrics_tenants)
        """What this process did, counted."""
        self.store: Store = ObservedStore(store, self.meter)
        self.deps = deps
        self.settings = settings
        self._clock = clock
        self._bus = Bus()
        self._rules = Rules(self.store, clock)
        self._results = Results(self.store)
        self._open: list[AsyncExitStack] = []

    @property
    def clock(self) -> Clock:
        """What it goes by: the wall clock, or in tests another."""
        return self._clock

    async def enqueue(self, drafts: Iterable[Draft[R]], *, tx: object = None) -> list[Handle[R]]:
        """Add many jobs, durably, a thousand in each round trip; one handle each, in order.

        With `tx`, an open transaction of yours on the store's database, they exist once that commits.

        Raises:
            ConfigError: the app is not open.
            QueueFull: a queue has no room for them; those of the batches before are added.
            StoreUnavailable: the store cannot be reached; those of the batches before are added.
            TransactionUnsupported: `tx` is not a transaction that the store can join.
        """
        self._refuse_unless_open()
        handles: list[Handle[R]] = []
        batch: list[Draft[R]] = []
        for draft in drafts:
            batch.append(draft)
            if len(batch) == MOST_TOGETHER:
                handles += await self._enqueue(batch, tx)
                batch = []
        return handles + (await self._enqueue(batch, tx) if batch else [])

    def enqueue_within(self, tx: object, drafts: Iterable[Draft[R]], *, parent: str | None = None) -> list[Handle[R]]:
        """`enqueue` inside an open synchronous transaction (sqlite3, or SQLAlchemy over it), without awaiting.

        `parent`: the running job that they are children of, where that is not the one that this is called from.

        Raises:
            TransactionUnsupported: `tx` is not a transaction that the store can join.
        """
        all_ = list(drafts)
        with Sending() as sending:
            jobs = sending.carried(self._jobs(all_, parent))
            return self._handles(all_, self.store.add_within(tx, jobs, now=self._clock()))

    def prepare(self, drafts: Iterable[Draft[R]], *, parent: str | None = None) -> tuple[list[NewJob], list[Handle[R]]]:
        """The jobs of these drafts, not added, and a handle each: for what adds them later, such as an outbox."""
        all_ = list(drafts)
        with Sending() as sending:
            jobs = sending.carried(self._jobs(all_, parent))
        return jobs, self._handles(all_, [Added(job.id, created=True) for job in jobs])

    async def enqueue_flow(
        self,
        flow: Flow[R],
        *,
        id: str | None = None,  # noqa: A002 - the job's
        tx: object = None,
    ) -> Handle[R]:
        """Add a chain or a group; the handle is that of the job which runs last, and is held until then.

        Up to a thousand jobs are added at once or not at all. Of more, the held job comes first, and then its children,
        a thousand in each round trip: if that is interrupted, enqueue the flow again under the same `id`, and it goes
        on; in a running job give `ctx.id_for("a name")`. They are not added once nobody waits for them any more: the
        held job was cancelled, or has failed for one of them, or its unique key was held (`handle.created`).

        Raises:
            ConfigError: the app is not open, the id is no UUID of version 7, a child has a unique key, or a count is
                wrong.
            StoreUnavailable, TransactionUnsupported: as `enqueue` does.
        """
        self._refuse_unless_open()
        first: Added | None = None
        with Sending() as sending:
            for batch in batches(flow, id, self._clock(), CURRENT_JOB.get(), size=MOST_TOGETHER):
                jobs = sending.carried(batch)
                added = await self.store.add(jobs, now=self._clock(), tx=tx)
                if self._bus.heard and tx is None:
                    self._tell(jobs, added)
                first = first or added[0]
                if not all(one.created for one in added):
                    break
        assert first is not None, "a flow has a job that runs last"
        return self._handle(flow.then, first)

    def enqueue_flow_within(
        self,
        tx: object,
        flow: Flow[R],
        *,
        id: str | None = None,  # noqa: A002 - the job's
        parent: str | None = None,
    ) -> Handle[R]:
        """`enqueue_flow` inside an open synchronous transaction, without awaiting; see `enqueue_within`."""
        now, parent = self._clock(), parent or CURRENT_JOB.get()
        jobs = [job for some in batches(flow, id, now, parent, size=MOST_TOGETHER) for job in some]
        with Sending() as sending:
            return self._handle(flow.then, self.store.add_within(tx, sending.carried(jobs), now=now)[0])

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event of this process; call what is returned to end that."""
        return self._bus.listen(listener)

    async def _enqueue(self, drafts: list[Draft[R]], tx: object) -> list[Handle[R]]:
        with Sending() as sending:
            jobs = sending.carried(self._jobs(drafts))
            added = await self.store.add(jobs, now=self._clock(), tx=tx)
        if self._bus.heard and tx is None:  # what a transaction adds is not there before it commits
            self._tell(jobs, added)
        return self._handles(drafts, added)

    def _jobs(self, drafts: list[Draft[R]], parent: str | None = None) -> list[NewJob]:
        now, parent = self._clock(), parent or CURRENT_JOB.get()
        jobs = [draft.new_job(now, parent=parent) for draft in drafts]
        self._rules.check(key for job in jobs for key in job.limits)
        return jobs

    def _handles(self, drafts: list[Draft[R]], added: list[Added]) -> list[Handle[R]]:
        return [self._handle(draft, one) for draft, one in zip(drafts, added, strict=True)]

    def _handle(self, draft: Draft[R], added: Added) -> Handle[R]:
        keep = draft.definition.keep_failed
        return Handle(
            added,
            draft.definition,
            store=self.store,
            results=self._results,
            clock=self._clock,
            keep_cancelled=self.settings.keep_failed if keep is None else keep,
        )

    def _tell(self, jobs: list[NewJob], added: list[Added]) -> None:
        now = self._clock()
        for job, one in zip(jobs, added, strict=True):
            if one.created:
                event = Event(kind="enqueued", job=job.id, at=now, name=job.name, queue=job.queue, tenant=job.tenant)
                self._bus.emit(event)

    def _refuse_unless_open(self) -> None:
        """On every store alike, though some would do without: what works in tests is to work elsewhere too."""
        if not self._open:
            raise ConfigError("the app is not open: put `async with app:` around what uses it.")
