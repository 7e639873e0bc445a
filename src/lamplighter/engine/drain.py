"""Draining a worker from elsewhere: a record that says so, which the worker looks for as often as it beats.

It looks on its own, and not with its beats: a look that hangs must not cost it its leases.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from lamplighter.core.clock import Clock
from lamplighter.core.errors import StoreError
from lamplighter.core.model import Record
from lamplighter.engine.patience import until_available
from lamplighter.store.base import Store

KIND = "drain"
REMEMBERED = timedelta(days=1)  # a worker that hears nothing for so long is gone

_log = logging.getLogger("lamplighter.worker")


async def ask_to_drain(store: Store, worker: str, *, now: datetime) -> None:
    """Have a worker claim nothing more, let what runs end within its grace time, and end: as SIGTERM does."""
    await store.put(Record(kind=KIND, name=worker, value="{}", expires_at=now + REMEMBERED))


class Drain:
    """Hears, for one worker, that it is to end. Each look is one read, of few records or none."""

    def __init__(self, store: Store, clock: Clock, *, worker: str, interval: float, stop: Callable[[], object]) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._interval = interval
        self._stop = stop

    async def run(self) -> None:
        """Until it was asked for."""
        while not await until_available(self._is_asked, "see whether to drain"):  # noqa: ASYNC110 - of others
            await asyncio.sleep(self._interval)
        _log.info("An operator drains this worker: it stops.")
        with contextlib.suppress(StoreError):  # it expires
            await self._store.drop(KIND, self._worker)
        self._stop()

    async def _is_asked(self) -> bool:
        return any(record.name == self._worker for record in await self._store.records(KIND, now=self._clock()))
