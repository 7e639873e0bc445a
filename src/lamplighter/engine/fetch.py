"""Keeps free slots full: claims as many jobs as there are slots, as soon as there may be any."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from lamplighter.core.clock import Clock
from lamplighter.core.model import Beat, Claimed
from lamplighter.engine.patience import until_available
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

POLL = 1.0  # seconds between claims while nothing wakes us: a hint may be lost
GATHER = 0.001  # seconds that a full worker waits for more slots to come free, so that it claims many at once


class Fetcher:
    """Claims jobs for one worker. `free` tells how many it can take now; `start` gets what was claimed."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        worker: str,
        queues: Sequence[str],
        lease: timedelta,
        concurrency: int,
        free: Callable[[], int],
        start: Callable[[list[Claimed]], None],
    ) -> None:
        self.claimed_at: datetime | None = None
        """When a claim last succeeded: a worker that is deaf to its store is known by it."""
        self._store = store
        self._clock = clock
        self._worker = worker
        self._queues = queues
        self._lease = lease
        self._quarter = max(1, concurrency // 4)
        self._free = free
        self._start = start
        self._alarm = Alarm()
        self._full = False
        self._closing = False

    def ring(self) -> None:
        """There may be jobs that there were not before."""
        self._alarm.ring()

    def slot_came_free(self) -> None:
        """There is a slot that there was not before; of interest only to a worker that was full."""
        if self._full:
            self._alarm.ring()

    def close(self) -> None:
        """Claim nothing more."""
        self._closing = True
        self._alarm.ring()

    async def run(self) -> None:
        """Claim until closed."""
        while not self._closing:
            limit = await self._slots()
            claimed = await until_available(partial(self._claim, limit), "claim jobs")
            self.claimed_at = self._clock()
            if claimed:
                self._start(claimed)
            if len(claimed) < limit and not self._closing:
                await self._alarm.sleep(POLL * random.uniform(0.8, 1.2))  # noqa: S311 - or workers poll in step

    async def _slots(self) -> int:
        """How many jobs to claim, once there is a slot; a full worker waits a moment for more of them."""
        self._full = self._free() <= 0
        while self._free() <= 0 and not self._closing:
            await self._alarm.sleep(None)
        if self._full and self._free() < self._quarter:
            await asyncio.sleep(GATHER)
        self._full = False
        return self._free()

    async def _claim(self, limit: int) -> list[Claimed]:
        if self._closing:
            return []
        now = self._clock()
        claimed = await self._store.claim(self._queues, limit, worker=self._worker, lease=self._lease, now=now)
        if claimed and self._clock() > now + self._lease / 2:
            return await self._renewed(claimed)
        return claimed

    async def _renewed(self, claimed: list[Claimed]) -> list[Claimed]:
        """Those that are still ours: the answer came so late (the store was slow, or a handler blocked this loop) that
        their leases may be over, and other workers may have begun them."""
        beats = [Beat(job.id, job.fence) for job in claimed]
        beaten = await self._store.beat(beats, lease=self._lease, now=self._clock())
        lost = set(beaten.lost)
        return [job for job in claimed if job.id not in lost]
