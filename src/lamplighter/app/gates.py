"""What an operator sees of the gates of limits, and does with them."""

from __future__ import annotations

from datetime import timedelta

from lamplighter.core.clock import Clock
from lamplighter.core.flow_control import GateView, Order
from lamplighter.store.base import Store


class Gates:
    """The gates of an app's store: `app.gates`. A key is that of a limit, such as `provider:google`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def look(self, *keys: str, limit: int = 1000) -> list[GateView]:
        """How these stand; of none, all that are in use, not closed, or have jobs waiting."""
        return await self._store.gates(keys, limit=limit, now=self._clock())

    async def open(self, key: str, lasts: timedelta | None = None) -> None:
        """Open its breaker: its jobs wait, until one of them tries after so long, or (None) until it is closed."""
        now = self._clock()
        await self._store.order([Order(key, "open", None if lasts is None else now + lasts)], now=now)

    async def close(self, key: str) -> None:
        """Close its breaker, and end a penalty: its jobs go on."""
        await self._store.order([Order(key, "close")], now=self._clock())

    async def penalize(self, key: str, lasts: timedelta) -> None:
        """Let none of its jobs start for so long; afterwards they go on at their pace."""
        now = self._clock()
        await self._store.order([Order(key, "penalize", now + lasts)], now=now)
