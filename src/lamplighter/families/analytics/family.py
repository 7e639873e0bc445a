"""The analytics family: what happens is added up by hours, days and months, for each tenant and for all.

`analytics.rollup` collects what ended, and makes windows anew in which something is new; `analytics.forget` deletes
what is too old. Only one of each runs at a time, in whatever process, and each goes on where another was killed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from lamplighter.app import App
from lamplighter.core.clock import Clock, to_us
from lamplighter.core.model import Priority
from lamplighter.engine.context import Ctx
from lamplighter.families.analytics import retention
from lamplighter.families.analytics.analytics import Analytics
from lamplighter.families.analytics.backfill import Backfill, Step
from lamplighter.families.analytics.collecting import Collecting
from lamplighter.families.analytics.gaps import Found, find_gaps, refill
from lamplighter.families.analytics.level import LEVELS
from lamplighter.families.analytics.reading import Reading
from lamplighter.families.analytics.retention import Kept
from lamplighter.families.analytics.rollup import Rollup
from lamplighter.families.analytics.zones import follow
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.measuring.metric import declared
from lamplighter.integrations.storage.analytics_tables import measured_metrics
from lamplighter.integrations.storage.database import Database, insert_into

QUEUE = "analytics"
ROLLUP_EVERY = timedelta(seconds=30)
FORGET_EVERY = timedelta(hours=1)

Tell = Callable[[int, str], None]
"""How much is done, of what."""


class AnalyticsFamily:
    """The family's jobs on one app, beside its token family. What else is here is there while the app is open."""

    measures: Analytics
    reading: Reading

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        self._kept = Kept.by(app.settings)
        app.queue(QUEUE)
        app.limit("analytics.one", running=1)
        shared: dict[str, Any] = {"queue": QUEUE, "priority": Priority.LOW, "keep_done": timedelta(hours=1)}
        self.rollup = app.job("analytics.rollup", unique=True, limits=["analytics.one"], **shared)(self._rollup)
        self.forget = app.job("analytics.forget", unique=True, **shared)(self._forget)
        self.backfill = app.job(
            "analytics.backfill", unique="analytics.backfill:{since}.{until}", limits=["analytics.one"], **shared
        )(self._backfill)
        app.every(ROLLUP_EVERY, self.rollup.draft(), name="analytics.rollup", misfire="skip")
        app.every(FORGET_EVERY, self.forget.draft(), name="analytics.forget", misfire="skip")
        app.lifespan(self._open)
        app.keep_part(self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        database, clock, kept = self._tokens.service.database, self._app.clock, self._kept.raw
        self._database = database
        self._rollups = Rollup(database, clock=clock)
        self._collecting = Collecting(database, self._app.store, clock=clock, kept=kept)
        self._backfills = Backfill(database, self._collecting, clock=clock, kept=kept)
        self.measures = Analytics(database, clock=clock, kept=kept, meter=self._app.meter)
        self.reading = Reading(database, clock=clock)
        await announce(database, clock)
        yield

    async def gaps(self, since: datetime, until: datetime) -> Found:
        """Windows of a time that are missing or wrong."""
        return await find_gaps(self._database, since, until, raw_since=self._app.clock() - self._kept.raw)

    async def refill(self, found: Found) -> int:
        """Have them made anew, soon; returns how many."""
        marked = await refill(self._database, found.gaps, self._app.clock())
        await self.rollup.enqueue()
        return marked

    async def roll_up(self, tell: Tell = lambda _done, _what: None) -> dict[str, int]:
        """Collect what is new and add it up, here and now. Returns how much was collected, and how many windows were
        made. `tell`: how far it is."""
        await announce(self._database, self._app.clock)
        await follow(self._database, self._app.clock(), kept=self._kept.raw)
        collected = await self._collecting.jobs()
        await self._collecting.uptime()
        return {"collected": collected, "windows": await self._add_up(tell)}

    async def read_again(self, since: datetime, until: datetime) -> AsyncIterator[Step]:
        """Read a time again from all sources, and add up what is new, here and now. Raises BadRange."""
        new = 0
        async for step in self._backfills.run(since, until):
            new = step.new
            yield step
        await self._add_up(lambda _done, _what: None)
        yield Step("windows", 1.0, new)

    def check_range(self, since: datetime, until: datetime) -> None:
        """Raises BadRange if a time cannot be read again."""
        self._backfills.check(since, until)

    async def _rollup(self, ctx: Ctx[Any]) -> dict[str, int]:
        return await self.roll_up(lambda done, what: ctx.progress(done, note=what))

    async def _backfill(self, ctx: Ctx[Any], since: datetime, until: datetime) -> int:
        """Returns how many measurements were new."""
        new = 0
        async for step in self.read_again(since, until):
            new = step.new
            ctx.progress(round(step.share * 100), 100, note=step.what)
        return new

    async def _add_up(self, tell: Tell) -> int:
        seen = made = 0
        while some := await self._rollups.look():
            seen += some
            tell(seen, "measurements")
        for level in LEVELS:
            while some := await self._rollups.roll(level):
                made += some
                tell(made, f"windows: {level.resolution}s")
        return made

    async def _forget(self, _ctx: Ctx[Any]) -> dict[str, int]:
        """Forget what is too old; returns how many rows of what."""
        forgotten = await retention.forget(self._database, self._kept, self._app.clock())
        return forgotten._asdict()


async def announce(database: Database, clock: Clock) -> None:
    """Let what is declared here be measured by all."""
    await database.write(partial(_announce, at=to_us(clock())))


def _announce(connection: Connection, at: int) -> None:
    statement = insert_into(connection, measured_metrics)
    shown = {name: statement.excluded[name] for name in ("kind", "unit", "title", "seen_at")}
    rows = [
        {"name": one.name, "kind": one.kind, "unit": one.unit, "title": one.title, "seen_at": at} for one in declared()
    ]
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=shown), rows)
