"""The composition root: an app that is open, and its workers. What it declares and enqueues is below it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, Self, TypeVar, overload

import msgspec

from lamplighter.app.crons import Crons
from lamplighter.app.declaring import Declaring, Lifespan
from lamplighter.app.gates import Gates
from lamplighter.app.handle import Handle, cancel
from lamplighter.app.idle import until_idle
from lamplighter.app.why import Blocker, why
from lamplighter.app.why.sight import WorkerSeen
from lamplighter.app.workers import drain_worker, workers_alive
from lamplighter.core.clock import Clock, WallClock
from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError, NotScheduledHere
from lamplighter.core.limit import tenant_rule
from lamplighter.core.model import JobView, Keep
from lamplighter.engine.outcome import Kept
from lamplighter.engine.timekeeping import keep_time
from lamplighter.engine.worker import Worker, WorkerOptions
from lamplighter.observe.history.past import Past
from lamplighter.observe.history.recorder import Recorder
from lamplighter.observe.history.since import Since
from lamplighter.observe.watching import watching
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.store.rules import record_of

D = TypeVar("D")

SHORTEST_LEASE = timedelta(milliseconds=100)

_log = logging.getLogger("lamplighter.app")


class App(Declaring[D]):
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
        settings = _with_store(settings or load().settings, store)
        opened = open_store(settings.store) if store is None or isinstance(store, str) else store
        super().__init__(opened, deps=deps, settings=settings, clock=WallClock() if clock is None else clock)
        self.gates = Gates(self.store, self._clock)
        self.past = Past(self.store, self._clock)
        self._since = Since(self.meter)
        self._beside: set[asyncio.Task[None]] = set()
        self.crons = Crons(self.store, self._clock, self._entries)
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
        await self._rules.declare()
        for lifespan in lifespans:  # which may enqueue: the app counts as open
            await stack.enter_async_context(lifespan())
        if len(self._open) == 1:
            stack.push_async_callback(self._end_what_is_beside)

    async def _end_what_is_beside(self) -> None:
        for task in (tasks := tuple(self._beside)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def weigh(self, tenant: str, weight: int) -> None:
        """Give a tenant `weight` (1 to 100, 1 by default) times the turns of one of weight 1, in every queue.

        Raises:
            ConfigError: the weight cannot be, or the app is not open.
        """
        rule = tenant_rule(tenant, weight)
        self._refuse_unless_open()
        await self.store.put(record_of(tenant, rule))

    async def why(self, job: str) -> list[Blocker]:
        """`handle.why()` for whoever has only an id; it also sees that this app has no such job."""
        self._refuse_unless_open()
        return await why(self.store, job, now=self._clock(), registry=self._registry)

    async def cancel(self, job: str, *, tree: bool = False) -> bool:
        """`handle.cancel()` for whoever has only an id."""
        self._refuse_unless_open()
        return await cancel(self.store, job, now=self._clock(), keep=self.settings.keep_failed, tree=tree)

    async def ended(self, job: str, timeout: float | None = None) -> JobView:
        """The job once it has ended, for whoever has only an id. `timeout`: seconds to wait; None: as long as it takes.

        Raises:
            TimeoutError: the time was over; the job goes on.
            UnknownJob: it is not in the store (any longer).
        """
        self._refuse_unless_open()
        return await self._results.ended(job, timeout)

    def beside(self, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> asyncio.Task[None]:
        """Do that work beside all else, until it is done; if the app closes before, it is cancelled, and can still use
        the store."""
        self._refuse_unless_open()
        task = asyncio.create_task(work(), name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    async def pause(self, queue: str) -> None:
        """Let no worker take jobs from a queue; running ones go on."""
        self._refuse_unless_open()
        await self.store.pause(queue, paused=True)

    async def resume(self, queue: str) -> None:
        """Let a paused queue go on."""
        self._refuse_unless_open()
        await self.store.pause(queue, paused=False)

    async def run_cron(self, name: str) -> Handle[Any]:
        """Enqueue the job of one of this app's schedules now, beside its slots, and even while it is paused.

        Raises:
            UnknownSchedule: there is none of that name.
            NotScheduledHere: it is another app's, and only that knows its arguments.
            ConfigError, QueueFull, StoreUnavailable: as `enqueue` does.
        """
        self._refuse_unless_open()
        if (entry := self._entries.get(name)) is None:
            await self.crons.must_be_there(name)
            raise NotScheduledHere(f"schedule {name!r} is another app's: run it where that app is.")
        [handle] = await self.enqueue([entry.draft])
        return handle

    async def workers(self) -> list[WorkerSeen]:
        """The workers that are alive, by name."""
        self._refuse_unless_open()
        return await workers_alive(self.store, now=self._clock())

    async def drain(self, worker: str) -> None:
        """Have a worker claim nothing more, let what runs end within its grace time, and end; it hears of it at its
        next beat, within seconds.

        Raises:
            UnknownWorker: none of that name is alive.
        """
        self._refuse_unless_open()
        await drain_worker(self.store, worker, now=self._clock())

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
        async with self._watched(worker):
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

    @asynccontextmanager
    async def _watched(self, worker: Worker) -> AsyncIterator[None]:
        """Watch it for as long as the block lasts, and write down what it does."""
        recorder = Recorder(self.store, self._clock, self._since, name=worker.name)
        async with recorder.recording(), watching(self.meter, worker):
            yield

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
            log_lines=settings.keep_log_lines,
        )

    def _worker(self, options: WorkerOptions) -> Worker:
        return Worker(
            self.store,
            self._registry,
            deps=self.deps,
            bus=self._bus,
            clock=self._clock,
            schedules=self.schedules,
            options=options,
            meter=self.meter,
        )


def _with_store(settings: Settings, store: str | Store | None) -> Settings:
    """The settings with the store that is used in earnest: what asks them for the database must not find another."""
    if store is None:
        return settings
    return msgspec.structs.replace(settings, store=store if isinstance(store, str) else store.url)


def _log_a_failure(task: asyncio.Task[None]) -> None:
    """At once, and not only when the block ends, which may be days later."""
    if not task.cancelled() and (error := task.exception()):
        _log.error("The worker has ended: %s", error)
