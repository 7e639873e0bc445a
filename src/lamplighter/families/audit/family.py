"""The audit family: records are sealed within seconds, archived and destroyed within the hour, verified once a day.

No job runs for long: one that is not done in its time hands on to its successor.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from lamplighter.app import App
from lamplighter.core.model import Priority
from lamplighter.core.retry import exponential
from lamplighter.core.verdict import Cancel
from lamplighter.engine.context import Ctx
from lamplighter.families.audit.storage import open_storage
from lamplighter.families.audit.tidying import tidy
from lamplighter.families.audit.verifying import PAGE, Verifying
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.auditing.sealing import seal

QUEUE = "audit"
SEAL_EVERY = timedelta(seconds=5)
ARCHIVE_EVERY = timedelta(hours=1)
TURN = timedelta(seconds=20)  # of one job: a worker that stops waits for no longer


class AuditFamily:
    """The family's jobs on one app, beside its token family. What `audit_archive` names is opened with the app."""

    def __init__(self, app: App[Any], tokens: TokenFamily) -> None:
        self._app = app
        self._tokens = tokens
        app.limit("audit.archive", running=1)
        shared: dict[str, Any] = {
            "queue": QUEUE,
            "priority": Priority.LOW,
            "keep_done": timedelta(hours=1),
            "retry": exponential(first=30, factor=2, cap=600, attempts=4),
        }
        self.seal = app.job("audit.seal", unique=True, **shared)(self._seal)
        pending: dict[str, Any] = {
            "unique": True,
            "unique_mode": "pending",
            **shared,
        }  # a job may ask for its successor
        self.archive = app.job("audit.archive", limits=["audit.archive"], **pending)(self._archive)
        self.verify = app.job("audit.verify", timeout=None, **pending)(self._verify)
        app.every(SEAL_EVERY, self.seal.draft(), name="audit.seal", misfire="skip")
        app.every(ARCHIVE_EVERY, self.archive.draft(), name="audit.archive", misfire="skip")
        app.every(app.settings.audit_verify_every, self.verify.draft(), name="audit.verify", misfire="once")
        app.lifespan(self._open)
        app.keep_part(self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        service, clock, settings = self._tokens.service, self._app.clock, self._app.settings
        self._database = service.database
        self._storage = open_storage(settings)
        self._verifying = Verifying(service.database, self._storage, clock=clock)
        yield

    async def _seal(self, ctx: Ctx[Any]) -> int:
        """Give records that have no place yet theirs; returns how many."""
        is_over, done = _turn(), 0
        while not is_over() and (some := await seal(self._database)):
            done += some
            ctx.progress(done, note="sealed")
        self._app.meter.audited("sealed", done)
        return done

    async def _archive(self, ctx: Ctx[Any]) -> dict[str, int]:
        """Archive what is due, destroy what is past its time, and let restored copies go; how many of each."""
        is_over, app = _turn(), self._app

        def step(what: str, records: float, _total: float) -> None:
            ctx.progress(records, note=what)

        done = await tidy(self._database, self._storage, app.settings, clock=app.clock, is_over=is_over, step=step)
        for what in ("sealed", "archived", "destroyed"):
            app.meter.audited(what, getattr(done, what))
        if is_over():
            await app.enqueue([self.archive.draft()])
        return done._asdict()

    async def _verify(self, ctx: Ctx[Any], after: str | None = None) -> int:
        """Walk along every chain, from the one after that name; returns along how many."""
        is_over, walked = _turn(), 0
        broken: list[str] = []
        while chains := await self._verifying.chains(limit=PAGE, after=after):
            for chain in chains:
                verdict = await self._verifying.verify(chain)
                broken += [] if verdict.says is None else [f"{chain.chain or '_'}: {verdict.says}"]
                after, walked = chain.chain, walked + 1
                ctx.progress(walked, note="verified")
                if is_over():
                    await self._app.enqueue([self.verify.draft(after)])
                    break
            if is_over():
                break
        if broken:
            raise Cancel("; ".join(broken)[:500])
        return walked


def _turn() -> Callable[[], bool]:
    """Whether the time of one job is over."""
    end = time.monotonic() + TURN.total_seconds()
    return lambda: time.monotonic() > end
