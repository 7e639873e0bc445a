"""A store as one process sees it, over the network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from lamplighter.core.model import Beat, Beaten, Cancelled, Claimed, Outcome, Swept
from lamplighter.store.base import Store
from lamplighter.testing.simulation.network import Network
from lamplighter.testing.simulation.truth import Truth


class Remote:
    """Calls over the network. `fences` has the newest fence of each job that this process got."""

    url = "memory://"

    def __init__(self, who: str, truth: Truth, network: Network, clock: Callable[[], datetime]) -> None:
        self.fences: dict[str, int] = {}
        self._who = who
        self._truth = truth
        self._network = network
        self._clock = clock

    @property
    def as_store(self) -> Store:
        """Itself, to the type checker."""
        return cast(Store, self)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            return await self._network.ask(self._who, name, lambda: self._truth.call(name, *args, **options))

        return call

    async def __aenter__(self) -> Store:
        await self._network.ask(self._who, "open", lambda: None)
        return self.as_store

    async def __aexit__(self, *exc: object) -> None:
        return

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        def act() -> list[Claimed]:
            return self._truth.claim(worker, queues, limit, lease=lease, now=now)

        claimed = await self._network.ask(self._who, "claim", act)
        self.fences.update((job.id, job.fence) for job in claimed)
        return claimed

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        return await self._network.ask(self._who, "finish", lambda: self._truth.finish(self._who, outcomes, now=now))

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        def act() -> Beaten:
            return self._truth.beat(self._who, beats, lease=lease, now=now)

        return await self._network.ask(self._who, "beat", act)

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        return await self._network.ask(self._who, "sweep", lambda: self._truth.sweep(limit, now=now))

    async def cancel(self, *args: Any, **options: Any) -> Cancelled:
        return await self._network.ask(self._who, "cancel", lambda: self._truth.cancel(*args, **options))

    async def time(self) -> datetime | None:
        return await self._network.ask(self._who, "time", self._clock)

    async def wake(self) -> AsyncIterator[None]:
        async for _ in self._truth.store.wake():
            if not self._network.is_deaf():
                yield
