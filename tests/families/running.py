"""The token family on an app of its own, as a process would run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from lamplighter.app import App
from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.events import Event
from lamplighter.core.model import LIVE, JobView, State, Where
from lamplighter.core.secret import Secret
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.integration import Integration, NewIntegration
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.tenants import Tenant

TENANT = "copper-bakery"
SOON = 60  # seconds that anything may take on a machine under load


class Home(NamedTuple):
    """Where an app keeps its jobs, and the family its tables, if not there too."""

    folder: Path
    store: str
    database: str | None = None

    def settings(self, lease: float = 5) -> Settings:
        """For an app that is at home there."""
        folder = None if (self.database or self.store).startswith("sqlite") else self.folder
        return Settings(store=self.store, database=self.database, folder=folder, lease=timedelta(seconds=lease))

    @property
    def arguments(self) -> tuple[str, ...]:
        """The same for another process."""
        return str(self.folder), self.store, *((self.database,) if self.database else ())


def in_file(folder: Path) -> Home:
    """Everything in one file of that folder."""
    return Home(folder, f"sqlite:///{folder}/lamplighter.db")


class Running:
    """An open app with the family, and what it did."""

    def __init__(self, app: App[None], tokens: TokenFamily) -> None:
        self.app = app
        self.tokens = tokens
        self.events: list[Event] = []
        self._news = asyncio.Event()
        app.listen(self._hear)

    async def connect(
        self, provider: Provider, access: Secret, refresh: Secret | None, *, life: float = -1, tenant: str = TENANT
    ) -> Integration:
        """An integration whose access token ends in so many seconds, by default due at once."""
        service, now = self.tokens.service, utcnow()
        await service.registrations.register(provider)
        await service.tenants.add([Tenant(id=tenant, name=tenant, owner_id="auth|1")])
        return await service.integrations.connect(
            NewIntegration(
                tenant_id=tenant,
                provider_slug=provider.slug,
                access_token=access,
                refresh_token=refresh,
                issued_at=now - timedelta(seconds=1),
                expires_at=now + timedelta(seconds=life),
            )
        )

    async def see(self, integration: Integration) -> Integration:
        """The integration as it is now."""
        found = await self.tokens.service.integrations.get(integration.id)
        assert found is not None
        return found

    async def planned(self) -> list[JobView]:
        """The refreshes that are still to run, those on their way from the outbox included."""
        async with asyncio.timeout(SOON):
            while (await self.tokens._outbox.waiting()).jobs:  # noqa: ASYNC110 - any process may empty it
                await asyncio.sleep(0.01)
        found = await self.app.store.page(Where(names=("tokens.refresh",)), limit=1000)
        return [view for view in found if view.state in LIVE]

    async def forget_plans(self) -> None:
        """What a restored backup or a crash can do: integrations are there, and no job refreshes them."""
        await self.planned()
        now = self.app.clock()
        await self.app.store.cancel(Where(names=("tokens.refresh",)), limit=1000, now=now, keep_until=now)

    async def planned_for(self, moment: datetime | None = None) -> JobView:
        """The one refresh that is still to run, once it is planned for then: what finds it early moves it there."""
        async with asyncio.timeout(SOON):
            while True:
                planned = await self.planned()
                if [one.state for one in planned] == [State.SCHEDULED] and moment in {None, planned[0].run_at}:
                    return planned[0]
                await asyncio.sleep(0.01)

    async def refresh_without_key(self, integrations: Sequence[Integration], times: int) -> None:
        """Refresh each so often, all at once, on a path that forgot the key: the lock must do."""
        refresh = self.tokens.refresh.using(unique=False)
        handles = await self.app.enqueue(refresh.draft(i.id, force=True) for i in integrations for _ in range(times))
        await asyncio.gather(*(handle.result(timeout=SOON) for handle in handles))

    async def until(self, kind: str, count: int = 1, *, name: str = "tokens.refresh") -> None:
        """Wait until that has happened to so many jobs."""
        await self.until_true(lambda: self.count(kind, name) >= count)

    def count(self, kind: str, name: str = "tokens.refresh") -> int:
        """How often that has happened."""
        return sum(event.kind == kind and event.name == name for event in self.events)

    async def until_true(self, is_so: Callable[[], bool]) -> None:
        """Look after each event."""
        async with asyncio.timeout(SOON):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()


@asynccontextmanager
async def running(home: Home, *, clock: Clock = utcnow) -> AsyncIterator[Running]:
    """An open app there. Several may be open on one: each is as good as a process."""
    app = App(settings=home.settings(), clock=clock)
    tokens = TokenFamily(app)
    async with app:
        yield Running(app, tokens)
