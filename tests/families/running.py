"""The token family on an app of its own, as a process would run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from lamplighter.app import App
from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.events import Event
from lamplighter.core.model import LIVE, JobView, Where
from lamplighter.core.secret import Secret
from lamplighter.families.tokens import TokenFamily
from lamplighter.integrations.integration import Integration, NewIntegration
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.tenants import Tenant

TENANT = "copper-bakery"
SOON = 60  # seconds that anything may take on a machine under load


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
        """An integration whose access token ends in so many seconds, by default due at once. Nothing is planned."""
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
        """The refreshes that are still to run."""
        found = await self.app.store.page(Where(names=("tokens.refresh",)), limit=1000)
        return [view for view in found if view.state in LIVE]

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
async def running(folder: Path, *, clock: Clock = utcnow) -> AsyncIterator[Running]:
    """An open app on the file of that folder. Several may be open on one: each is as good as a process."""
    settings = Settings(store=f"sqlite:///{folder}/lamplighter.db", lease=timedelta(seconds=5))
    app = App(settings=settings, clock=clock)
    tokens = TokenFamily(app)
    async with app:
        yield Running(app, tokens)
