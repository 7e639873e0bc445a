"""Declaring: what an app says before it opens. Its jobs, its schedules, its limits and queues."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Literal, TypeVar, Unpack

from lamplighter.app.bounds import check_crashes, check_kept, check_memory, timeout_in_seconds
from lamplighter.app.enqueuing import Enqueuing
from lamplighter.app.job import AsyncJob, Job, Register, SyncJob
from lamplighter.core.clock import Clock
from lamplighter.core.codec import Codec
from lamplighter.core.config import Settings
from lamplighter.core.cron import Cron, Every, Misfire, Schedule
from lamplighter.core.definition import Definition, Registry, how_it_runs
from lamplighter.core.draft import Draft, Options, checked
from lamplighter.core.errors import ConfigError
from lamplighter.core.limit import Breaker, Rate, WhenFull, gate_rule, queue_rule
from lamplighter.core.retry import RetryPolicy, exponential
from lamplighter.engine.tick import Entry
from lamplighter.store.base import Store

D = TypeVar("D")
P = TypeVar("P")
Lifespan = Callable[[], AbstractAsyncContextManager[object]]


class Declaring(Enqueuing[D]):
    """The part of an app that is told what there is."""

    def __init__(self, store: Store, *, deps: D, settings: Settings, clock: Clock) -> None:
        super().__init__(store, deps=deps, settings=settings, clock=clock)
        self._registry = Registry()
        self._by_name: dict[str, Job[D, Any, Any]] = {}
        self._entries: dict[str, Entry] = {}
        self._lifespans: list[Lifespan] = []
        self._parts: dict[type, object] = {}

    def keep_part(self, part: object) -> None:
        """Keep something that was declared on this app, for whoever has only the app to find it by its class."""
        self._parts[type(part)] = part

    def part(self, kind: type[P]) -> P | None:
        """What `keep_part` was given of that class; the last, if it was given several."""
        found = self._parts.get(kind)
        return found if isinstance(found, kind) else None

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
        self._rules.check(defaults.get("limits", ()))

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
            declared = self._by_name[called] = kind(self, function, definition, defaults)
            return declared

        return register  # type: ignore[return-value]  # which kind it is shows only when the function does

    def job_named(self, name: str) -> Job[D, Any, Any]:
        """The job of that name, with the options that it was declared with.

        Raises:
            UnknownJob: this app has no such job; it says which one may have been meant.
        """
        return self._by_name[self._registry.get(name).name]

    def has_job(self, name: str) -> bool:
        """Whether it has a job of that name."""
        return self._registry.find(name) is not None

    def limit(
        self, name: str, *, running: int | None = None, rate: Rate | None = None, breaker: Breaker | None = None
    ) -> None:
        """Declare a limit, for jobs to come under: `@app.job(limits=["name:{argument}"])`. It counts over all workers.

        Each value has a key of its own, such as `provider:google`, with its own slots, pace and breaker. A job starts
        when all of its limits let it through; while it waits for that, it costs nothing and spends no attempt.

        Args:
            name: letters, digits, dots, dashes and underscores.
            running: how many jobs of one key may run at once.
            rate: how many of one key may start in a time.
            breaker: when to leave a key alone that keeps failing.

        Raises:
            ConfigError: something here cannot be, or the name is taken.
        """
        self._rules.limit(name, gate_rule(name, running=running, rate=rate, breaker=breaker))

    def queue(
        self,
        name: str,
        *,
        charge: Literal["jobs", "time"] = "jobs",
        most_waiting: int | None = None,
        most_waiting_per_tenant: int | None = None,
        when_full: WhenFull = "refuse",
    ) -> None:
        """Declare how a queue is shared out among tenants, and how many jobs may wait in it.

        Args:
            name: of the queue.
            charge: tenants take turns by "jobs", or by the "time" that their jobs run.
            most_waiting: how many jobs may wait; more are refused with QueueFull.
            most_waiting_per_tenant: how many of one tenant.
            when_full: "refuse" what does not fit, or "drop-oldest": cancel those that wait longest.

        Raises:
            ConfigError: something here cannot be, or the queue was declared already.
        """
        rule = queue_rule(
            name,
            charge=charge,
            most_waiting=most_waiting,
            most_waiting_per_tenant=most_waiting_per_tenant,
            when_full=when_full,
        )
        self._rules.queue(name, rule)

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
    def schedules(self) -> tuple[Entry, ...]:
        """What `cron` and `every` put on schedules, in that order."""
        return tuple(self._entries.values())

    def _schedule(self, schedule: Schedule, draft: Draft[Any], name: str | None, misfire: Misfire) -> None:
        called = name or draft.definition.name
        self._rules.check(draft.options.get("limits", ()))
        if called in self._entries:
            raise ConfigError(f"two schedules are named {called!r}: give one of them another name=.")
        self._entries[called] = Entry(name=called, schedule=schedule, draft=draft, misfire=misfire)
