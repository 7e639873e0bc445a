"""Records of the store that are asked for with every request: read together, and known for a few seconds.

So a request costs no read of its own, and what another process changed counts here within `KNOWN`. What this process
changes counts at once: it says `forget`.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from lamplighter.core.clock import Clock
from lamplighter.store.base import Store

KNOWN = timedelta(seconds=5)
LOOK_AGAIN = timedelta(seconds=0.1)  # for a name that is not known, which may be new: or made up, by somebody who tries

T = TypeVar("T", bound=msgspec.Struct)

_log = logging.getLogger("lamplighter.web")


class Recalled(Generic[T]):
    """All records of a kind, by name."""

    def __init__(self, store: Store, kind: str, shape: type[T], *, clock: Clock) -> None:
        self._store = store
        self._kind = kind
        self._shape = shape
        self._clock = clock
        self._known: dict[str, T] = {}
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()

    async def get(self, name: str) -> T | None:
        """The one of that name.

        Raises:
            StoreError: the store cannot be read.
        """
        if self._is_older_than(KNOWN) or (name not in self._known and self._is_older_than(LOOK_AGAIN)):
            async with self._reading:
                if self._is_older_than(LOOK_AGAIN):  # nobody read it while this one waited
                    await self._read()
        return self._known.get(name)

    async def all(self) -> dict[str, T]:
        """Every one by name, as the store has them now."""
        await self._read()
        return self._known

    def forget(self) -> None:
        """Read anew when next asked."""
        self._read_at = None

    async def _read(self) -> None:
        begun = self._clock()
        records = await self._store.records(self._kind, now=begun)
        found = {record.name: self._decoded(record.name, record.value) for record in records}
        self._known = {name: one for name, one in found.items() if one is not None}
        self._read_at = begun

    def _decoded(self, name: str, value: str) -> T | None:
        try:
            return msgspec.json.decode(value, type=self._shape)
        except msgspec.MsgspecError:
            _log.warning("The %s record %s cannot be read: it counts as not there.", self._kind, name)
            return None

    def _is_older_than(self, age: timedelta) -> bool:
        """What was read before the clock was set back is old, too."""
        return self._read_at is None or not timedelta() <= self._clock() - self._read_at < age
