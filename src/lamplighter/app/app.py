"""The composition root: register jobs, enqueue them, put them on schedules, run a worker."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Generic, ParamSpec, Self, TypeVar, Unpack, overload

import msgspec

from lamplighter.app.flows import batches
from lamplighter.app.handle import Handle, cancel
from lamplighter.app.idle import until_idle
from lamplighter.app.job import AsyncJob, Job, Register, SyncJob
from lamplighter.app.limits import check_crashes, check_kept, check_memory, timeout_in_seconds
from lamplighter.app.results import Results
from lamplighter.app.why import Blocker, why
from lamplighter.core.clock import Clock, WallClock
from lamplighter.core.codec import Codec
from lamplighter.core.config import Settings, load
from lamplighter.core.cron import Cron, Every, Misfire, Schedule
from lamplighter.core.definition import Definition, Registry, how_it_runs
from lamplighter.core.draft import Draft, Options, checked
from lamplighter.core.errors import ConfigError
from lamplighter.core.events import Bus, Event, Listener
from lamplighter.core.flow import Flow
from lamplighter.core.model import Added, Keep, NewJob
from lamplighter.core.retry import RetryPolicy, exponential
from lamplighter.engine.context import CURRENT_JOB
from lamplighter.engine.outcome import Kept
from lamplighter.engine.tick import Entry
from lamplighter.engine.timekeeping import keep_time
from lamplighter.engine.worker import Worker, WorkerOptions
from lamplighter.store.base import Store
from lamplighter.store.open import open_store

D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")
Lifespan = Callable[[], AbstractAsyncContextManager[object]]

SHORTEST_LEASE = timedelta(milliseconds=100)
MOST_TOGETHER = 1000  # jobs in one call of the store

_log = logging.getLogger("lamplighter.app")


class App(Generic[D]):
    """Jobs, a store for them, and what their handlers need. Open it with `async with` before enqueueing.

    Args:
        store: a URL such as `sqlite:///jobs.db`, or a store; by default the one that the settings name.
        deps: given to every handler as `ctx.deps`.
        settings: what `lamplighter.core.config.load` found; read from file and environment by default.
        clock: in tests, one that is told how to go; by default this machine's, set by the store's where it has one.

    Raises:
        ConfigError: the URL or a setting is wrong.
    """

    @overload
    def __init__(
        self: App[None],
        store: str | Store | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self, store: str | Store | None = None, *, deps: D, settings: Settings | None = None, clock: Clock | None = None
    ) -> None: ...
    def __init__(
        self,
        store: str | Store | None = None,
        *,
        deps: Any = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = _with_store(settings or load().settings, store)
        self.store = open_store(self.settings.store) if store is None or isinstance(store, str) else store
        self.deps: D = deps
        self._clock = WallClock() if clock is None else clock
        self._registry = Registry()
        self._bus = Bus()
        self._entries: dict[str, Entry] = {}
        self._results = Results(self.store)
        self._lifespans: list[Lifespan] = []
        self._open: list[AsyncExitStack] = []
        self._door = asyncio.Lock()  # or two that open it at once would both enter the lifespans

    async def __aenter__(self) -> Self:
        async with self._door:
            lifespans = [] if self._open else self._lifespans
            self._open.append(AsyncExitStack())
            try:
                await self._enter(self._open[-1], lifespans)
            except BaseException:
                await self._open.pop().aclose()
                raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        async with self._door:
            try:
                await self._open[-1].aclose()  # it counts as open until then: a lifespan may enqueue as it is left
            finally:
                self._open.pop()

    async def _enter(self, stack: AsyncExitStack, lifespans: Sequence[Lifespan]) -> None:
        await stack.enter_async_context(self.store)
        await keep_time(self._clock, self.store)
        for lifespan in lifespans:  # which may enqueue: the app counts as open
            await stack.enter_async_context(lifespan())

    def lifespan(self, factory: Lifespan) -> None:
        """Enter `factory()` whenever the app opens, and leave it when the app closes: for what handlers need open."""
        self._lifespans.append(factory)

    def job(
        self,
        name: str | None = None,
        *,
        timeout: float | timedelta | None = 3600,
        retry: RetryPolicy | None = None,
        keep_done: timedelta | None = None,
        keep_failed: timedelta | None = None,
        process: bool = False,
        memory_mb: int | None = None,
        max_crashes: int = 3,
        **options: Unpack[Options],
    ) -> Register[D]:
        """Register a function as a job. Its first parameter is `ctx`; the others must be what JSON can carry.

        Args:
            name: what its jobs are called in the store; the function's name by default.
            timeout: how long one attempt may take (seconds); None for as long as it likes.
            retry: when to try again after a failure; by default `exponential()`, 5 attempts in all.
            keep_done: how long its done jobs are kept (0: not at all); by default what the settings say.
            keep_failed: the same for failed and cancelled ones.
            process: run it in a process of its own, which is killed at the timeout.
            memory_mb: how much address space that process may have.
            max_crashes: a job that was lost with its worker so often fails, instead of taking down the next one.
            options: defaults for `enqueue`, see `Options`.

        Raises:
            ConfigError: something here cannot be, or the name is taken.
        """
        seconds = timeout_in_seconds(timeout)
        check_memory(memory_mb, process=process)
        check_kept(keep_done, keep_failed)
        check_crashes(max_crashes)
        if callable(name):
            raise ConfigError("@app.job is called before it decorates: write @app.job() with parentheses.")
        defaults = checked(options)

        def register(function: Callable[..., Any]) -> Job[D, Any, Any]:
            called = name or function.__name__
            definition = Definition(
                name=called,
                queue=defaults.get("queue", "default"),
                function=function,
                codec=Codec(called, function),
                runs=how_it_runs(function, process=process),
                retry=retry or exponential(),
                timeout=seconds,
                keep_done=keep_done,
                keep_failed=keep_failed,
                memory_mb=memory_mb,
                max_crashes=max_crashes,
            )
            self._registry.add(definition)
            kind = AsyncJob if inspect.iscoroutinefunction(function) else SyncJob
            return kind(self, function, definition, defaults)

        return register  # type: ignore[return-value]  # which kind it is shows only when the function does

    async def enqueue(self, drafts: Iterable[Draft[R]], *, tx: object = None) -> list[Handle[R]]:
        """Add many jobs, durably, a thousand in each round trip; one handle each, in order.

        With `tx`, an open transaction of yours on the store's database, they exist once that commits.

        Raises:
            ConfigError: the app is not open.
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
        jobs = self._jobs(all_, parent)
        return self._handles(all_, self.store.add_within(tx, jobs, now=self._clock()))

    def prepare(self, drafts: Iterable[Draft[R]], *, parent: str | None = None) -> tuple[list[NewJob], list[Handle[R]]]:
        """The jobs of these drafts, not added, and a handle each: for what adds them later, such as an outbox."""
        all_ = list(drafts)
        jobs = self._jobs(all_, parent)
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
        for jobs in batches(flow, id, self._clock(), CURRENT_JOB.get(), size=MOST_TOGETHER):
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
        return self._handle(flow.then, self.store.add_within(tx, jobs, now=now)[0])

    def cron(
        self,
        expression: str,
        draft: Draft[Any],
        *,
        tz: str = "UTC",
        name: str | None = None,
        misfire: Misfire = "once",
    ) -> None:
        """Run a job at the moments of a cron expression on the wall clock of a time zone.

        Args:
            name: of the schedule; the job's name by default.
            misfire: what becomes of moments that no worker was there for: "skip" them, run "once" for all, or "all".

        Raises:
            BadCron: the expression or the zone cannot be read.
            ConfigError: the name is taken.
        """
        self._schedule(Cron(expression, tz), draft, name, misfire)

    def every(
        self, interval: timedelta, draft: Draft[Any], *, name: str | None = None, misfire: Misfire = "once"
    ) -> None:
        """Run a job at a fixed interval, counted in UTC. Raises what `cron` raises."""
        self._schedule(Every(interval), draft, name, misfire)

    @property
    def clock(self) -> Clock:
        """What it goes by: the wall clock, or in tests another."""
        return self._clock

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event of this process; call what is returned to end that."""
        return self._bus.listen(listener)

    async def why(self, job: str) -> list[Blocker]:
        """`handle.why()` for whoever has only an id; it also sees that this app has no such job."""
        self._refuse_unless_open()
        return await why(self.store, job, now=self._clock(), registry=self._registry)

    async def cancel(self, job: str, *, tree: bool = False) -> bool:
        """`handle.cancel()` for whoever has only an id."""
        self._refuse_unless_open()
        return await cancel(self.store, job, now=self._clock(), keep=self.settings.keep_failed, tree=tree)

    async def pause(self, queue: str) -> None:
        """Let no worker take jobs from a queue; running ones go on."""
        self._refuse_unless_open()
        await self.store.pause(queue, paused=True)

    async def resume(self, queue: str) -> None:
        """Let a paused queue go on."""
        self._refuse_unless_open()
        await self.store.pause(queue, paused=False)

    @asynccontextmanager
    async def worker(
        self,
        *,
        concurrency: int | None = None,
        queues: Sequence[str] | None = None,
        grace: timedelta | None = None,
        lease: timedelta | None = None,
    ) -> AsyncIterator[Worker]:
        """A worker beside whatever else this event loop does; it drains when the block ends.

        What is not given is as the settings say: 100 jobs at once, from all queues.

        Raises:
            ConfigError: the app is not open, or a value is out of bounds.
            StoreDamaged: it ended for that reason; raised when the block ends.
        """
        self._refuse_unless_open()
        worker = self._worker(self._worker_options(concurrency, queues, grace, lease))
        task = asyncio.create_task(worker.run(), name="lamplighter-worker")
        task.add_done_callback(_log_a_failure)
        try:
            yield worker
        finally:
            worker.stop()
            await task

    async def work(self, *, until_idle: bool = False, concurrency: int | None = None) -> None:
        """Run jobs here and now: until cancelled, or until nothing is due, which is handy in tests."""
        async with self, self.worker(concurrency=concurrency) as worker:
            await (self.until_idle(worker) if until_idle else worker.stopped())

    async def until_idle(self, worker: Worker) -> None:
        """Wait until nothing is due that this worker would run: no job is queued or runs, and none that is scheduled
        has come due; or until the worker has to stop."""
        await until_idle(self.store, self._clock, worker)

    def _worker_options(
        self, concurrency: int | None, queues: Sequence[str] | None, grace: timedelta | None, lease: timedelta | None
    ) -> WorkerOptions:
        if concurrency is not None and concurrency < 1:
            raise ConfigError(f"a worker of concurrency={concurrency} would run nothing: give 1 or more.")
        if lease is not None and lease < SHORTEST_LEASE:
            raise ConfigError(f"lease={lease} is too short to be renewed in time: give {SHORTEST_LEASE} or more.")
        settings = self.settings
        return WorkerOptions(
            concurrency=settings.concurrency if concurrency is None else concurrency,
            queues=settings.queues if queues is None else queues,
            grace=settings.grace if grace is None else grace,
            lease=settings.lease if lease is None else lease,
            kept=Kept(settings.keep_done, settings.keep_failed),
            keep=Keep(settings.keep_done_count, settings.keep_failed_count),
        )

    def _worker(self, options: WorkerOptions) -> Worker:
        return Worker(
            self.store,
            self._registry,
            deps=self.deps,
            bus=self._bus,
            clock=self._clock,
            schedules=tuple(self._entries.values()),
            options=options,
        )

    async def _enqueue(self, drafts: list[Draft[R]], tx: object) -> list[Handle[R]]:
        jobs = self._jobs(drafts)
        added = await self.store.add(jobs, now=self._clock(), tx=tx)
        if self._bus.heard and tx is None:  # what a transaction adds is not there before it commits
            self._tell(jobs, added)
        return self._handles(drafts, added)

    def _jobs(self, drafts: list[Draft[R]], parent: str | None = None) -> list[NewJob]:
        now, parent = self._clock(), parent or CURRENT_JOB.get()
        return [draft.new_job(now, parent=parent) for draft in drafts]

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

    def _schedule(self, schedule: Schedule, draft: Draft[Any], name: str | None, misfire: Misfire) -> None:
        called = name or draft.definition.name
        if called in self._entries:
            raise ConfigError(f"two schedules are named {called!r}: give one of them another name=.")
        self._entries[called] = Entry(name=called, schedule=schedule, draft=draft, misfire=misfire)


def _with_store(settings: Settings, store: str | Store | None) -> Settings:
    """The settings with the store that is used in earnest: what asks them for the database must not find another."""
    if store is None:
        return settings
    return msgspec.structs.replace(settings, store=store if isinstance(store, str) else store.url)


def _log_a_failure(task: asyncio.Task[None]) -> None:
    """At once, and not only when the block ends, which may be days later."""
    if not task.cancelled() and (error := task.exception()):
        _log.error("The worker has ended: %s", error)
