"""The token family: every integration's tokens are refreshed before they expire, by a job that plans its successor.

The successor is planned in the transaction that stores the new tokens, under the key that the running job holds: at
once where the jobs are in the same database, and by way of an outbox where they are not. What
falls out of that chain all the same (a restored database, an import, a crash) is put back by `tokens.reconcile`.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from random import random
from typing import Any

from sqlalchemy import Connection

from lamplighter.app import App
from lamplighter.core.draft import Draft
from lamplighter.core.model import Priority, State, Where
from lamplighter.core.retry import exponential
from lamplighter.core.verdict import Cancel, Discard, Snooze
from lamplighter.engine.context import Ctx
from lamplighter.integrations.integration import Integration
from lamplighter.integrations.integrations import Due
from lamplighter.integrations.oauth import BadAnswer, GrantRevoked, OperatorFault, ProviderDown
from lamplighter.integrations.refreshing.breaker import pace_of
from lamplighter.integrations.refreshing.outbox import Outbox
from lamplighter.integrations.refreshing.outcome import Gone, NotNow, Refreshed, Shut
from lamplighter.integrations.refreshing.relay import Held
from lamplighter.integrations.service import Service, is_with_jobs, open_service

QUEUE = "tokens"
ATTEMPTS = 5
MAX_CRASHES = 10  # a refresh kills no worker, but may run beside jobs that do, and must not be given up with them
RECONCILE_EVERY = timedelta(seconds=15)
OVERDUE = timedelta(seconds=10)  # how long after its time a refresh counts as forgotten, rather than under way
IN_CASE = timedelta(seconds=30)  # a job that waits for a provider is called when it is back: should nobody call it
AGAIN = timedelta(seconds=5)  # when an outage says nothing about when to come back
YIELDING = Priority.HIGH - 1  # of refreshes that are late already: those of other providers shall not be, too
BATCH = 1000  # integrations planned in one call
RELEASED = 100  # and called in one, when their provider is back: the first of them have seconds left

_log = logging.getLogger("lamplighter.tokens")


class TokenFamily:
    """The family's jobs on one app, its tables in the app's database. Its service is open while the app is."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._refreshing: defaultdict[str, list[str]] = defaultdict(
            list
        )  # integration -> the jobs that refresh it here
        self._outdated: deque[str] = deque()  # jobs that hold an integration's key, but were planned for older tokens
        self._is_with_jobs = is_with_jobs(app.settings)
        self._outbox: Outbox
        self.service: Service
        self.refresh = app.job(
            "tokens.refresh",
            queue=QUEUE,
            priority=Priority.HIGH,
            unique="tokens.refresh:{integration_id}",  # on every path, so that no two refreshes are ever planned
            retry=exponential(first=5, factor=2, cap=600, attempts=ATTEMPTS),
            timeout=120,
            keep_done=timedelta(hours=1),
            max_crashes=MAX_CRASHES,
        )(self._refresh)
        self.reconcile = app.job("tokens.reconcile", queue=QUEUE, unique=True, keep_done=timedelta(hours=1))(
            self._reconcile
        )
        self.release = app.job(
            "tokens.release",
            queue=QUEUE,
            priority=Priority.HIGH,
            unique="tokens.release:{provider_slug}",
            keep_done=timedelta(hours=1),
        )(self._release)
        app.every(RECONCILE_EVERY, self.reconcile.draft(), name="tokens.reconcile", misfire="skip")
        app.lifespan(self._open)
        app.keep_part(self)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        app = self._app
        async with open_service(app.settings, self, clock=app.clock, meter=app.meter) as self.service:
            self._outbox = Outbox(self.service.database, self._app, on_held=self._correct_held)
            async with self._outbox.relaying():  # also for what was written before the jobs moved here
                await self.reconcile.enqueue(everything=True)
                yield

    async def plan(self, integrations: Iterable[Due | Integration]) -> int:
        """Plan the next refresh of each; returns how many had none planned."""
        drafts = [self._draft(one.id, one.refresh_at or self._app.clock()) for one in integrations]
        return sum(handle.created for handle in await self._app.enqueue(drafts))

    async def refresh_now(self, integration_id: str, *, force: bool = False, rejected: int | None = None) -> Refreshed:
        """Refresh one integration here; arguments, and what it raises, are those of the refresher."""
        refreshed = await self.service.refresher.refresh(integration_id, force=force, rejected=rejected)
        await self.settle()
        return refreshed

    async def _refresh(
        self, ctx: Ctx[Any], integration_id: str, *, force: bool = False, rejected: int | None = None
    ) -> str:
        """Refresh one integration, and plan its next refresh."""
        with self._as_parent(integration_id, ctx.id):
            try:
                refreshed = await self.refresh_now(integration_id, force=force, rejected=rejected)
            except Shut as error:
                raise Snooze(error.retry_in + IN_CASE * (1 + random()), str(error)) from error  # noqa: S311 - they come apart
            except (NotNow, ProviderDown) as error:
                raise Snooze(error.retry_in or AGAIN, str(error)) from error
            except (Gone, GrantRevoked) as error:  # the integration says so itself: no failed job that needs a look
                raise Cancel(str(error)) from error
            except OperatorFault as error:
                raise Discard(str(error)) from error
            except BadAnswer as error:
                if ctx.attempt >= ATTEMPTS:
                    await self.service.refresher.give_up(integration_id, str(error))
                raise
            if refreshed.outcome != "refreshed" and refreshed.refresh_at is not None:
                # whoever refreshed it could not plan the next, for this job holds the key
                await self.after(integration_id, refreshed.refresh_at)
        return refreshed.outcome

    async def _reconcile(self, ctx: Ctx[Any], *, everything: bool = False) -> int:
        """Plan what is overdue, or everything that can be refreshed; what is planned already stays as it is."""
        await self._recover()
        integrations = self.service.integrations
        found = integrations.refreshable(batch=BATCH) if everything else integrations.overdue(OVERDUE, batch=BATCH)
        planned = 0
        async for batch in found:
            planned += await self.plan(batch)
            ctx.progress(planned, note="planned")
        return planned

    async def _release(self, ctx: Ctx[Any], provider_slug: str) -> int:
        """A provider is back: call those that waited, in the order of their need, at the pace that it bears."""
        service, released = self.service, 0
        interval = (
            timedelta(seconds=1) / pace_of((await service.registrations.get(provider_slug)).max_per_second).per_second
        )
        first = self._app.clock()
        async for batch in service.integrations.waiting(provider_slug, batch=RELEASED):
            await self._app.enqueue(
                self.refresh.using(run_at=first + n * interval, priority=YIELDING, when_held="replace").draft(one.id)
                for n, one in enumerate(batch, released)
            )
            released += len(batch)
            ctx.progress(released, note="released")
        return released

    async def _recover(self) -> None:
        recovered = await self.service.refresher.recover()
        await self.settle()
        if recovered.saved:
            _log.warning("Stored the tokens of %d integrations from the journal of a dead process.", recovered.saved)

    def within(self, connection: Connection, plans: Sequence[tuple[str, datetime]]) -> None:
        """Plan the next refreshes in the transaction that stores the tokens."""
        # one of those that refresh an integration here, if any, holds its key
        waiting = [(self._draft(id_, at), tuple(self._refreshing.get(id_, ())) or (None,)) for id_, at in plans]
        if not self._is_with_jobs:  # if it is none of the first's, `_correct_held` hears of it
            for draft, parents in waiting:
                self._outbox.enqueue_within(connection, [draft], parent=parents[0])
            return
        while waiting:
            jobs = [job for draft, parents in waiting for job in self._app.prepare([draft], parent=parents[0])[0]]
            added = self._app.store.add_within(connection, jobs, now=self._app.clock())
            refused = [(*one, there.id) for one, there in zip(waiting, added, strict=True) if not there.created]
            self._outdated.extend(holder for _, parents, holder in refused if not parents[1:])
            waiting = [(draft, parents[1:]) for draft, parents, _ in refused if parents[1:]]

    async def after(self, integration_id: str, at: datetime) -> None:
        """Plan the next refresh once the tokens are stored."""
        [handle] = await self._app.enqueue([self._draft(integration_id, at)])
        if not handle.created:
            self._outdated.append(handle.id)

    async def settle(self) -> None:
        """Let jobs that were planned for older tokens look now: they find them fresh, and plan for the newer ones."""
        outdated = tuple(self._outdated.popleft() for _ in range(len(self._outdated)))
        if outdated:
            where = Where(ids=outdated, states=(State.SCHEDULED,))
            await self._app.store.retry(where, limit=len(outdated), now=self._app.clock())

    async def recovered(self, provider_slug: str) -> None:
        """The provider is back: what waited for it may go."""
        await self.release.enqueue(provider_slug)

    async def _correct_held(self, held: Sequence[Held]) -> None:
        """Plans that came by way of the outbox, and found the key with a job that may be planned for older tokens."""
        holders = tuple({one.holder for one in held})
        found = {view.id: view.run_at for view in await self._app.store.page(Where(ids=holders), limit=len(holders))}
        self._outdated.extend(one.holder for one in held if found.get(one.holder) != one.job.run_at)
        await self.settle()

    def _draft(self, integration_id: str, at: datetime) -> Draft[str]:
        return self.refresh.using(run_at=at).draft(integration_id)

    @contextmanager
    def _as_parent(self, integration_id: str, job: str) -> Iterator[None]:
        jobs = self._refreshing[integration_id]
        jobs.append(job)
        try:
            yield
        finally:
            jobs.remove(job)
            if not jobs:
                self._refreshing.pop(integration_id, None)
