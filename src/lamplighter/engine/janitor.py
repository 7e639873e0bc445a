"""What time makes true: due jobs are queued, jobs of dead workers rescued, old ones forgotten."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from lamplighter.core.clock import Clock
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.model import Keep, Swept
from lamplighter.engine.patience import until_available
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

MOST_AT_ONCE = 1000  # jobs in one call, so that no other writer waits long
LOOK = 1.0  # seconds at most between sweeps: another process may have scheduled an earlier job unheard
BREATH = 0.005  # seconds at least between sweeps that were only woken: under load, every write wakes
PRUNE_EVERY = 60.0  # seconds

_log = logging.getLogger("lamplighter.worker")


class Janitor:
    """Sweeps and prunes for one worker; every worker does it, and they do not disturb each other.

    `beat_within`: seconds in which every worker that is alive renews its leases.
    """

    def __init__(
        self, store: Store, clock: Clock, keep: Keep, swept: Callable[[Swept], None], *, beat_within: float
    ) -> None:
        self._store = store
        self._beat_within = beat_within
        self._was_away = False
        self._clock = clock
        self._keep = keep
        self._swept = swept
        self._alarm = Alarm()

    def ring(self) -> None:
        """Something may have been scheduled."""
        self._alarm.ring()

    async def sweep(self) -> None:
        """Sweep as things come due, for ever."""
        while True:
            swept = await until_available(self._sweep, "look for jobs that are due")
            if swept.has_news:
                self._swept(swept)
            if max(swept.due, len(swept.rescued), len(swept.failed)) < MOST_AT_ONCE:
                await self._rest(swept)

    async def _sweep(self) -> Swept:
        if self._was_away:
            await self._let_others_beat()
        try:
            return await self._store.sweep(MOST_AT_ONCE, now=self._clock())
        except StoreUnavailable:
            self._was_away = True
            raise

    async def _let_others_beat(self) -> None:
        """In an outage leases ran out that nobody could renew: to rescue those jobs at once would run all twice."""
        await self._store.stats()  # raises as long as it is away
        await asyncio.sleep(self._beat_within)
        self._was_away = False

    async def _rest(self, swept: Swept) -> None:
        wait = LOOK if swept.next_at is None else (swept.next_at - self._clock()).total_seconds()
        if await self._alarm.sleep(min(LOOK, wait)):
            await asyncio.sleep(BREATH)

    async def prune(self) -> None:
        """Forget, in small batches, what need not be kept any longer, for ever."""
        while True:
            await asyncio.sleep(PRUNE_EVERY * random.uniform(0.5, 1))  # noqa: S311 - or all workers prune at once
            while await until_available(self._prune, "prune") >= MOST_AT_ONCE:
                pass  # each batch is a transaction of its own: others get their turn in between

    async def _prune(self) -> int:
        return await self._store.prune(self._keep, limit=MOST_AT_ONCE, now=self._clock())
