"""The upkeep family: what is older than the settings say is forgotten, and databases are kept well in their window.

`upkeep.tend` comes every few minutes while the window is open, does what is due until it closes, and goes on the next
night where it was. `upkeep.run` does the same at once, because a person asked. `upkeep.measure` writes down each day
how large everything is. If something fails, so does the job, once: it is a dead job, and alerted of as all are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from lamplighter.app import App
from lamplighter.app.handle import Handle
from lamplighter.core.model import Priority
from lamplighter.core.retry import exponential
from lamplighter.engine.context import Ctx
from lamplighter.families.tokens import TokenFamily
from lamplighter.families.upkeep.finding import UpkeepError
from lamplighter.families.upkeep.ledger import Run
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.upkeep import WINDOW, Upkeep, Which
from lamplighter.integrations.retention import forget

QUEUE = "upkeep"
EVERY = timedelta(hours=1)
TEND_EVERY = timedelta(minutes=5)
MEASURE_EVERY = timedelta(days=1)
LONGEST = timedelta(hours=12)  # that a person may ask for


class UpkeepFamily:
    """The family's jobs on one app, beside its token family. `upkeep` is there while the app is open."""

    upkeep: Upkeep

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        self.forget = app.job("upkeep.forget", queue=QUEUE, priority=Priority.LOW, unique=True)(self._forget)
        app.every(EVERY, self.forget.draft(), name="upkeep.forget", misfire="skip")
        app.limit("upkeep.databases", running=1)  # they are worked on by one job at a time
        shared: dict[str, Any] = {"queue": QUEUE, "priority": Priority.LOW, "limits": ["upkeep.databases"]}
        shared |= {"timeout": LONGEST * 2, "keep_done": timedelta(days=1), "unique": True}
        shared |= {"retry": exponential(attempts=1)}  # what failed would fail again: people hear of it instead
        self.tend = app.job("upkeep.tend", **shared)(self._tend)
        self.run = app.job("upkeep.run", **shared)(self._run)
        self.measure = app.job("upkeep.measure", queue=QUEUE, priority=Priority.LOW, unique=True)(self._measure)
        app.every(MEASURE_EVERY, self.measure.draft(), name="upkeep.measure")
        if app.settings.upkeep_window is not None:
            app.every(TEND_EVERY, self.tend.draft(), name="upkeep.tend", misfire="skip")
        app.lifespan(self._open)
        app.keep_part(self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        app = self._app
        self.upkeep = Upkeep(app.settings, self._tokens.service.database, clock=app.clock)
        yield

    async def ask(
        self, *, by: str, tasks: Sequence[str] = (), subject: str | None = None, lasts: timedelta = EVERY
    ) -> Handle[dict[str, int]]:
        """Have what is due done by a worker now, window or not. If the same was asked already, that job is returned.

        Args:
            by: who asks.
            tasks: only these, also if they were done lately.
            subject: only of this table, index or file.
            lasts: how long it may go on, at most 12 hours.
        """
        seconds = min(lasts, LONGEST).total_seconds()
        return await self.run.enqueue(by=by, tasks=list(tasks), subject=subject, seconds=seconds)

    async def _tend(self, ctx: Ctx[Any]) -> dict[str, int]:
        """Do what is due until the window closes. Outside of it: nothing."""
        now, window = self._app.clock(), self.upkeep.window
        night = window and window.night(now)
        if night is None:
            return {}
        return await self._keep(ctx, (night.ends - now).total_seconds(), asked_by=WINDOW)

    async def _run(
        self, ctx: Ctx[Any], by: str, tasks: list[str], subject: str | None, seconds: float
    ) -> dict[str, int]:
        """Do what is due now."""
        return await self._keep(ctx, seconds, asked_by=by, which=Which(tasks, subject))

    async def _keep(self, ctx: Ctx[Any], seconds: float, *, asked_by: str, which: Which = Which()) -> dict[str, int]:  # noqa: B008 - it cannot change
        steps = 0

        def say(note: str) -> None:
            nonlocal steps
            steps += 1
            ctx.progress(steps, note=note)

        runs = await self.upkeep.run(Turn(seconds), asked_by=asked_by, which=which, say=say)
        if failed := [run for run in runs if run.outcome == "failed"]:
            first = failed[0]
            raise UpkeepError(f"{len(failed)} of {len(runs)} failed, {first.task} of {first.subject}: {first.says}")
        return counted(runs)

    async def _measure(self, _ctx: Ctx[Any]) -> int:
        """Write down how large everything is, and forget what is old of that; returns how many sizes were."""
        await self.upkeep.ledger.forget(self._app.clock() - self._app.settings.keep_history)
        return await self.upkeep.measure()

    async def _forget(self, _ctx: Ctx[Any]) -> dict[str, int]:
        """Forget what is old; returns how many rows of what."""
        forgotten = await forget(self._tokens.service.database, self._app.settings, self._app.clock())
        return forgotten._asdict()


def counted(runs: Sequence[Run]) -> dict[str, int]:
    """How many ended how."""
    return {outcome: sum(run.outcome == outcome for run in runs) for outcome in ("done", "stopped", "failed")}
