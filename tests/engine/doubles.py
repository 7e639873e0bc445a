"""A store that can be taken away and brought back, to see what a worker does meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Self, cast

from lamplighter.core.errors import StoreError, StoreUnavailable
from lamplighter.store.base import Store

AWAY = StoreUnavailable("The store is away: wait.")


class Unreliable:
    """A real store behind a door: while `error` is set, each call raises it. `only` narrows that to some operations."""

    def __init__(self, store: Store) -> None:
        self.behind = store
        self.error: StoreError | None = None
        self.only: frozenset[str] = frozenset()
        self.calls: Counter[str] = Counter()
        self.refused = asyncio.Event()

    @property
    def as_store(self) -> Store:
        return cast(Store, self)

    @property
    def url(self) -> str:
        return self.behind.url

    def fail(self, error: StoreError = AWAY, *only: str) -> None:
        self.only, self.error = frozenset(only), error
        self.refused.clear()

    def mend(self) -> None:
        self.error = None

    async def __aenter__(self) -> Self:
        await self.behind.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.behind.__aexit__(*exc)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.behind, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._knock(name)
            return await operation(*args, **kwargs)

        return call

    async def wake(self) -> AsyncIterator[None]:
        self._knock("wake")
        async for _ in self.behind.wake():
            self._knock("wake")
            yield

    def _knock(self, name: str) -> None:
        self.calls[name] += 1
        if self.error is not None and (not self.only or name in self.only):
            self.refused.set()
            raise self.error
