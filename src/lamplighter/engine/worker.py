"""A worker: the loops that fetch, run, finish, renew, tick and tidy, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.core.definition import Registry
from lamplighter.core.duration import format_duration
from lamplighter.core.events import Bus, Event, EventKind
from lamplighter.core.model import Claimed, Keep, NewJob, Swept
from lamplighter.engine.aside import Aside, InThread
from lamplighter.engine.drain import Drain
from lamplighter.engine.ended import attempt_of, ended_as
from lamplighter.engine.fetch import Fetcher
from lamplighter.engine.finish import Ending, Finisher
from lamplighter.engine.janitor import MOST_AT_ONCE, Janitor
from lamplighter.engine.job_log import LINES_KEPT, Log
from lamplighter.engine.lease import MOST_TOLD, Keeper, Presence, beat_interval
from lamplighter.engine.listen import listen
from lamplighter.engine.logbook import Logbook
from lamplighter.engine.outcome import Kept
from lamplighter.engine.run import Run, Runner
from lamplighter.engine.tick import Entry, Ticker
from lamplighter.observe.fields import WORKER
from lamplighter.observe.meter import Meter
from lamplighter.observe.tracing import leave_spans, tracer
from lamplighter.store.base import Store

_log = logging.getLogger("lamplighter.worker")

BEAT_MARGIN = 1.0  # seconds: a beat takes its time too, when all come at once
LAST_WORDS = 5.0  # seconds that cancelled handlers have to tidy up, when their worker stops


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """How a worker works. `grace`: how long running jobs may go on once it stops. No `queues` means all.

    `log_lines`: how many lines of what a job logs are kept. `name`: the worker's, the only one of its kind; by default
    made up. `aside`: where it renews leases.
    """

    concurrency: int = 100
    queues: Sequence[str] = ()
    lease: timedelta = timedelta(seconds=30)
    grace: timedelta = timedelta(seconds=30)
    kept: Kept = Kept()
    keep: Keep = Keep()
    log_lines: int = LINES_KEPT
    name: str = ""
    aside: Callable[[], Aside] = InThread


class Worker:
    """Runs jobs of one app on one event loop, until it is stopped."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        deps: Any,
        bus: Bus,
        clock: Clock,
        schedules: Sequence[Entry] = (),
        options: WorkerOptions,
        meter: Meter | None = None,
    ) -> None:
        self.name = options.name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._store = store
        self._bus = bus
        self._clock = clock
        self._options = options
        self._meter = Meter() if meter is None else meter
        self._started_at = clock()
        self._runs: dict[tuple[str, int], Run] = {}  # by id and fence: a lost run may go on beside its successor
        self.begun = 0
        """How many attempts it has begun."""
        self._active = 0  # handlers that run; the other runs only wait for their outcome to be durable
        self._idle = asyncio.Event()
        self._idle.set()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        interval = beat_interval(options.lease)
        logbook = Logbook(store, options.log_lines)
        self._runner = Runner(registry, deps, options.kept, clock, store, partial(Log, options.log_lines, clock))
        self._finisher = Finisher(store, clock, logbook, self._settled)
        self._fetcher = Fetcher(
            store,
            clock,
            worker=self.name,
            queues=options.queues,
            lease=options.lease,
            concurrency=options.concurrency,
            free=self._free,
            start=self._start,
        )
        self._janitor = Janitor(store, clock, options.keep, self._swept, beat_within=interval + BEAT_MARGIN)
        self._ticker = Ticker(store, clock, schedules, self._fired)
        self._drainage = Drain(store, clock, worker=self.name, interval=interval, stop=self.stop)
        self._keeper = Keeper(
            store,
            clock,
            worker=self.name,
            lease=options.lease,
            logbook=logbook,
            runs=lambda: list(self._runs.values()),
            presence=self._presence,
            stop=lambda runs: self._loop.call_soon_threadsafe(self._ask_to_stop, runs),
            lost=lambda runs: self._loop.call_soon_threadsafe(self._lose, runs),
            aside=options.aside(),
        )

    @property
    def is_idle(self) -> bool:
        """Whether no handler runs, every outcome is durable, and no schedule is still to be looked at."""
        return not self._runs and self._ticker.has_ticked

    @property
    def running(self) -> int:
        """How many handlers run."""
        return self._active

    @property
    def slots(self) -> int:
        """How many may at once."""
        return self._options.concurrency

    def serves(self, queue: str) -> bool:
        """Whether it takes jobs from a queue."""
        return not self._options.queues or queue in self._options.queues

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop, or had to."""
        return self._stop.is_set()

    async def sweep(self) -> Swept:
        """Look at once for what has come due, instead of within a second."""
        swept = await self._store.sweep(MOST_AT_ONCE, now=self._clock())
        if swept.has_news:
            self._swept(swept)
        return swept

    def stop(self) -> None:
        """Begin to stop: claim nothing more, let running jobs go on for their grace time, hand back the rest."""
        self._stop.set()
        self._fetcher.close()  # at once: the loops that are to wind down may have their turn only after another claim

    async def stopped(self, timeout: float | None = None) -> None:
        """Wait until it was told to stop, but no longer than so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), timeout)

    async def run(self) -> None:
        """Work until stopped, or until the store turns out to be damaged (StoreDamaged).

        Cancelled, it stops as `stop` says; cancelled while it stops, it hands running jobs back without waiting.
        """
        self._loop = asyncio.get_running_loop()
        WORKER.set(self.name)
        leave_spans()
        self._keeper.start()
        finishing, fetching = _started(self._finisher.run()), _started(self._fetcher.run())
        hearing = listen(self._store, self._fetcher.ring, self._janitor.ring)
        helping = [
            _started(loop)
            for loop in (
                hearing,
                self._drainage.run(),
                self._janitor.sweep(),
                self._janitor.prune(),
                self._ticker.run(),
            )
        ]
        try:
            await self._first_end_of(finishing, fetching, *helping)
        except asyncio.CancelledError:
            if self.is_stopping:
                self._hurry.set()
            raise
        finally:
            self.stop()
            await self._to_the_end(asyncio.create_task(self._wind_down(fetching, finishing, helping)))
        _raise_the_first_error(finishing, fetching, *helping)

    async def _first_end_of(self, *tasks: asyncio.Task[None]) -> None:
        """Until it is to stop, or a loop failed; the ticker of an app without schedules just ends."""
        stopping = asyncio.create_task(self._stop.wait())
        pending: set[asyncio.Task[Any]] = {stopping, *tasks}
        try:
            while not stopping.done():
                ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                _raise_the_first_error(*ended)
        finally:
            stopping.cancel()

    async def _to_the_end(self, winding_down: asyncio.Task[None]) -> None:
        """Whoever cancels us meanwhile wants it quicker, but not half done: jobs would be left to their leases, and
        those be renewed for ever."""
        cancelled: asyncio.CancelledError | None = None
        while not winding_down.done():
            try:
                await asyncio.shield(winding_down)
            except asyncio.CancelledError as error:
                cancelled = error
                self._hurry.set()
        if cancelled is not None:
            raise cancelled

    async def _wind_down(
        self, fetching: asyncio.Task[None], finishing: asyncio.Task[None], helping: list[asyncio.Task[None]]
    ) -> None:
        try:
            await self._ended(fetching, self._options.grace)
            await self._drain()
            for task in helping:
                task.cancel()
            await asyncio.wait(helping)
            self._finisher.close()
            await self._ended(finishing, max(self._options.grace, self._options.lease))
        finally:
            self._keeper.close()
        await self._keeper.ended()

    async def _ended(self, task: asyncio.Task[None], patience: timedelta) -> None:
        """Wait for a loop that was told to end. One that still waits for its store when the time is over is cancelled;
        even in a hurry it has a moment, to write what was handed back."""
        await self._within(patience, task)
        await asyncio.wait([task], timeout=1)
        task.cancel()
        await asyncio.wait([task])

    async def _within(self, patience: timedelta, *tasks: asyncio.Task[Any]) -> None:
        """Wait for the first of these to end, but no longer than this, and not at all in a hurry."""
        hurrying = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([hurrying, *tasks], timeout=patience.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()

    async def _drain(self) -> None:
        """Give running jobs their time, then hand them back. One that ignores that is left to its lease."""
        if self._active:
            _log.info(
                "Stopping: running jobs (%d) may go on for %s.", self._active, format_duration(self._options.grace)
            )
        idle = asyncio.create_task(self._idle.wait())
        await self._within(self._options.grace, idle)
        for run in list(self._runs.values()):
            run.ask("release")
        await asyncio.wait([idle], timeout=LAST_WORDS)
        idle.cancel()
        if self._active:
            _log.warning("Some jobs (%d) would not stop: they run again when their leases run out.", self._active)

    def _free(self) -> int:
        """Slots for new jobs. Outcomes that are not durable yet count once they outnumber the slots: a slow store must
        not let them pile up."""
        return self._options.concurrency - self._active - max(0, self._finisher.backlog - self._options.concurrency)

    def _start(self, jobs: list[Claimed]) -> None:
        self._idle.clear()
        self.begun += len(jobs)
        heard, spans = self._bus.heard, tracer()
        for job in jobs:
            run = self._runner.begin(job, spans)
            self._runs[job.id, job.fence] = run
            self._active += 1
            if heard:
                late = (run.started - job.run_at).total_seconds() * 1000
                self._emit("started", job, late_ms=round(late, 3))
            run.task = self._loop.create_task(self._run(run))

    async def _run(self, run: Run) -> None:
        began = self._loop.time()
        try:
            outcome = await self._runner.run(run)
        finally:
            run.took = self._loop.time() - began
            self._active -= 1
            self._fetcher.slot_came_free()
            if not self._active:
                self._idle.set()
        self._finisher.add(run, outcome)

    def _settled(self, endings: Sequence[Ending], won: set[str]) -> None:
        heard, attempts = self._bus.heard, []
        for run, outcome in endings:
            self._runs.pop((run.job.id, run.job.fence), None)
            ended = ended_as(run, outcome) if outcome.id in won else "lost"
            attempts.append(attempt_of(run, ended))
            if heard:
                reason = outcome.reason or (outcome.failure and outcome.failure.message)
                self._emit(ended, run.job, reason=reason or None)
        self._meter.ended(attempts)
        self._fetcher.slot_came_free()

    def _swept(self, swept: Swept) -> None:
        for key, opened in swept.turned:
            if opened:
                _log.warning("The breaker of %s is open: its jobs wait.", key)
            else:
                _log.info("The breaker of %s is closed again.", key)
        self._fetcher.ring()
        self._meter.was_rescued(len(swept.rescued))
        if self._bus.heard:
            for job in swept.rescued:
                self._bus.emit(Event(kind="rescued", job=job, at=self._clock()))
            for job in swept.failed:
                self._bus.emit(Event(kind="failed", job=job, at=self._clock(), reason="a child of it failed"))
            for key, opened in swept.turned:
                kind: EventKind = "breaker_opened" if opened else "breaker_closed"
                self._bus.emit(Event(kind=kind, job="", at=self._clock(), key=key))

    def _fired(self, entry: Entry, jobs: list[NewJob]) -> None:
        self._fetcher.ring()
        for job in jobs:
            event = Event(kind="fired", job=job.id, at=self._clock(), name=job.name, queue=job.queue, reason=entry.name)
            self._bus.emit(event)

    def _ask_to_stop(self, runs: list[Run]) -> None:
        for run in runs:
            run.ask("cancel")

    def _lose(self, runs: list[Run]) -> None:
        """Their leases are someone else's by now: what they do from here on counts for nothing, so they need not."""
        for run in runs:
            run.lost = True
            if run.task is None or run.task.done():
                continue  # it has ended, and its outcome may well have been accepted meanwhile
            _log.warning("Job %s was given to another worker: this one had not renewed its lease in time.", run.job.id)
            run.ask("release")

    def _emit(self, kind: EventKind, job: Claimed, *, reason: str | None = None, late_ms: float | None = None) -> None:
        self._bus.emit(
            Event(
                kind=kind,
                job=job.id,
                at=self._clock(),
                name=job.name,
                queue=job.queue,
                tenant=job.tenant,
                reason=reason,
                late_ms=late_ms,
            )
        )

    def _presence(self) -> Presence:
        claimed_at = self._fetcher.claimed_at
        return Presence(
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at.isoformat(),
            beat_at=self._clock().isoformat(),
            claimed_at=None if claimed_at is None else claimed_at.isoformat(),
            queues=self._options.queues,
            concurrency=self._options.concurrency,
            running=self._active,
            stopping=self.is_stopping,
            jobs=[job for job, _ in list(self._runs)[:MOST_TOLD]],
        )


def _started(loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task whose error counts as seen: that of the first to fail is raised, the others fail of the same cause."""
    task = asyncio.create_task(loop)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return task


def _raise_the_first_error(*tasks: asyncio.Task[Any]) -> None:
    errors = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for error in errors:
        if error is not None:
            raise error
