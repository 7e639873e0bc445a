"""How the counts of all queues went: sampled in this process, in rings that never grow.

Stores keep no past. What they count are levels (how many wait, run, have failed and are kept), so levels are what is
drawn: throughput cannot be had from them, since ended jobs are forgotten and a fall says nothing. Where nobody sampled,
because the process was not there or the store was not, there is a gap, and it is drawn as one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from lamplighter.core.clock import Clock
from lamplighter.core.errors import StoreError
from lamplighter.core.model import QueueStats
from lamplighter.store.base import Store

Span: TypeAlias = Literal["15m", "24h", "7d"]

EVERY = 5.0  # seconds between samples: as often as the finest ring takes one
LOST = 3  # samples missing in a row are a gap


class Sample(NamedTuple):
    """The sums over all queues at a moment, in whole seconds since 1970. `waiting`: jobs that are due."""

    at: int
    waiting: int
    delayed: int
    active: int
    failed: int


class Ring:
    """The samples of one span, at most one in each step."""

    def __init__(self, lasts: timedelta, step: timedelta) -> None:
        self.lasts = int(lasts.total_seconds())
        self.step = int(step.total_seconds())
        self._samples: deque[Sample] = deque(maxlen=self.lasts // self.step)

    def note(self, sample: Sample) -> None:
        """Keep it, unless its step has one already."""
        if not self._samples or sample.at // self.step > self._samples[-1].at // self.step:
            self._samples.append(sample)

    def since(self, now: int) -> list[Sample]:
        """Those of the span that ends now, the oldest first."""
        return [one for one in self._samples if one.at > now - self.lasts]


class History:
    """The three spans that the dashboard draws."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rings: dict[Span, Ring] = {
            "15m": Ring(timedelta(minutes=15), timedelta(seconds=EVERY)),
            "24h": Ring(timedelta(hours=24), timedelta(minutes=5)),
            "7d": Ring(timedelta(days=7), timedelta(minutes=30)),
        }

    def note(self, stats: Sequence[QueueStats], at: datetime) -> None:
        """Take a sample of what somebody has read."""
        sample = Sample(
            int(at.timestamp()),
            sum(one.queued for one in stats),
            sum(one.scheduled + one.held for one in stats),
            sum(one.running for one in stats),
            sum(one.failed for one in stats),
        )
        for ring in self._rings.values():
            ring.note(sample)

    def columns(self, span: Span, now: datetime) -> list[list[int | None]]:
        """Moments, and the values at them; where samples are missing, a moment without values."""
        ring = self._rings[span]
        rows: list[Sequence[int | None]] = []
        last: int | None = None
        for sample in ring.since(int(now.timestamp())):
            if last is not None and sample.at - last > LOST * ring.step:
                rows.append((last + ring.step, None, None, None, None))
            rows.append(sample)
            last = sample.at
        return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in Sample._fields]

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Sample for as long as the block lasts."""
        task = asyncio.create_task(self._sample(), name="lamplighter-history")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sample(self) -> None:
        while True:
            with suppress(StoreError):  # a store that cannot be reached leaves a gap
                self.note(await self._store.stats(), self._clock())
            await asyncio.sleep(EVERY)
