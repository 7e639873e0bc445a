"""Two stores, and a move from one to the other."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from lamplighter.app.move import Moved, Mover
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.testing.conformance._make import (
    NOW,
)

AT_ONCE = timedelta()


class Named(MemoryStore):
    """A memory store with a URL of its own: the mover tells sources by them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    @property
    def url(self) -> str:
        return self._url


class Pair(NamedTuple):
    source: Store
    target: Store

    async def move(self, wait: timedelta = AT_ONCE, now: datetime = NOW) -> Moved:
        return await Mover(self.source, self.target, clock=lambda: now).run(wait=wait)
