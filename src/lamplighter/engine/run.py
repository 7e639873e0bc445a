"""One attempt at one job, as named steps: find the job, read its arguments, call it, say how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from lamplighter.core.clock import Clock
from lamplighter.core.definition import Definition, Registry
from lamplighter.core.errors import BadArguments, TooLarge
from lamplighter.core.model import Claimed, Outcome
from lamplighter.engine.children import Stored
from lamplighter.engine.context import CURRENT_JOB, Ctx, ReadChildren
from lamplighter.engine.job_log import Log
from lamplighter.engine.outcome import Kept, Verdicts
from lamplighter.engine.process import call_in_process
from lamplighter.engine.thread import in_thread
from lamplighter.observe.fields import RUNNING
from lamplighter.observe.tracing import attempt
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Asked = Literal["cancel", "release"]


class Run:
    """A claimed job in this worker, from claim to durable outcome."""

    __slots__ = (
        "asked",
        "begun",
        "ctx",
        "definition",
        "job",
        "last_renewal",
        "lost",
        "started",
        "task",
        "took",
        "tracer",
    )

    def __init__(
        self,
        job: Claimed,
        definition: Definition | None,
        deps: Any,
        started: datetime,
        *,
        children: ReadChildren,
        log: Callable[[], Log],
        tracer: Tracer | None,
    ) -> None:
        self.job = job
        self.definition = definition
        self.ctx: Ctx[Any] = Ctx(
            deps,
            id=job.id,
            name=job.name,
            queue=job.queue,
            tenant=job.tenant,
            attempt=job.failures + job.crashes + 1,
            run_at=job.run_at,
            children=children,
            log=log,
        )
        self.started = started
        self.asked: Asked | None = None
        self.begun = False
        self.lost = False
        """Whether its lease is known to be someone else's."""
        self.tracer = tracer
        self.task: asyncio.Task[None] | None = None
        self.took = 0.0
        """How long it ran, in seconds, once it has ended."""
        timeout = definition.timeout if definition else None
        self.last_renewal = None if timeout is None else started + timedelta(seconds=timeout)
        """Past it, a handler that heeds no timeout is given up: its lease may run out, and another worker take over."""

    def ask(self, what: Asked) -> None:
        """Ask the handler to stop; the first to ask is heard."""
        if self.asked is None:
            self.asked = what
            self.ctx.stopping = True
            if self.task is not None and self.begun:  # a task cancelled before its first step never tells how it ended
                self.task.cancel()


class Runner(Struct, frozen=True):
    """Runs attempts of one app's jobs."""

    registry: Registry
    deps: Any
    kept: Kept
    clock: Clock
    store: Store
    new_log: Callable[[], Log] = Log

    def begin(self, job: Claimed, tracer: Tracer | None = None) -> Run:
        """The attempt that a claim allows. `tracer`: where its span goes."""
        children = partial(Stored, self.store, job.id, loop=asyncio.get_running_loop())
        return Run(
            job,
            self.registry.find(job.name),
            self.deps,
            self.clock(),
            children=children,
            log=self.new_log,
            tracer=tracer,
        )

    async def run(self, run: Run) -> Outcome:
        """How the attempt ended, and what its limits are to do then; raises nothing."""
        outcome = await (self._outcome(run) if run.tracer is None else self._traced(run, run.tracer))
        orders = run.ctx.orders(self.clock())
        return replace(outcome, orders=orders) if orders else outcome

    async def _traced(self, run: Run, tracer: Tracer) -> Outcome:
        with attempt(tracer, run.job, run.ctx.attempt) as span:
            outcome = await self._outcome(run)
            span.ended(outcome)
            return outcome

    async def _outcome(self, run: Run) -> Outcome:
        verdicts = Verdicts(run.job, run.definition, self.kept, self.clock)
        run.begun = True
        if run.asked is not None:
            return verdicts.stopped(run.asked, asyncio.CancelledError())
        if run.definition is None:
            return verdicts.unknown()
        if verdicts.is_poison:
            return verdicts.poison()
        return await self._attempt(run, run.definition, verdicts)

    async def _attempt(self, run: Run, definition: Definition, verdicts: Verdicts) -> Outcome:
        try:
            value = await self._call(run, definition)
            result = definition.codec.dump_result(value)
        except asyncio.CancelledError as error:
            return verdicts.stopped(run.asked, error)
        except (BadArguments, TooLarge) as error:
            return verdicts.hopeless(error)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is an outcome, SystemExit too
            return verdicts.raised(error)
        return verdicts.done(result)

    async def _call(self, run: Run, definition: Definition) -> Any:
        arguments = definition.codec.load(run.job.args)
        CURRENT_JOB.set(run.job.id)
        RUNNING.set(run.ctx)
        if definition.timeout is None:
            return await _CALLERS[definition.runs](definition, run.ctx, arguments)
        try:
            async with asyncio.timeout(definition.timeout) as limit:
                return await _CALLERS[definition.runs](definition, run.ctx, arguments)
        except TimeoutError as error:
            if not limit.expired():
                raise  # the handler's own
            run.ctx.stopping = True
            raise HandlerTimeout(f"it ran for more than {definition.timeout:g} s.") from error


class HandlerTimeout(TimeoutError):
    """The handler took longer than its job's `timeout`."""


async def _call_on_loop(definition: Definition, ctx: Ctx[Any], arguments: dict[str, Any]) -> Any:
    return await definition.function(ctx, **arguments)


async def _call_in_thread(definition: Definition, ctx: Ctx[Any], arguments: dict[str, Any]) -> Any:
    return await in_thread(lambda: definition.function(ctx, **arguments), f"job-{ctx.id}")


_CALLERS: dict[str, Callable[[Definition, Ctx[Any], dict[str, Any]], Any]] = {
    "loop": _call_on_loop,
    "thread": _call_in_thread,
    "process": call_in_process,
}
