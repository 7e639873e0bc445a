"""Outcomes on their way to the store: whatever has gathered while one batch is written goes with the next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from lamplighter.core.clock import Clock
from lamplighter.core.errors import LamplighterError
from lamplighter.core.model import Outcome
from lamplighter.engine.logbook import Logbook
from lamplighter.engine.patience import until_available
from lamplighter.engine.run import Run
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

MOST_TOGETHER = 1000  # outcomes in one call

Ending = tuple[Run, Outcome]

_log = logging.getLogger("lamplighter.worker")


class Finisher:
    """Writes outcomes in batches; `settled` hears of each batch, with the ids whose outcome counted."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        logbook: Logbook,
        settled: Callable[[Sequence[Ending], set[str]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._logbook = logbook
        self._settled = settled
        self._waiting: list[Ending] = []
        self._writing = 0
        self._alarm = Alarm()
        self._closing = False

    @property
    def backlog(self) -> int:
        """Outcomes that are not durable yet."""
        return len(self._waiting) + self._writing

    def add(self, run: Run, outcome: Outcome) -> None:
        """Write this outcome soon."""
        self._waiting.append((run, outcome))
        self._alarm.ring()

    def close(self) -> None:
        """Let `run` return once everything is written."""
        self._closing = True
        self._alarm.ring()

    async def run(self) -> None:
        """Write until closed. While the store is away, outcomes wait: their leases are renewed meanwhile."""
        while not (self._closing and not self._waiting):
            await self._alarm.sleep(None)
            while self._waiting:
                await self._write()

    async def _write(self) -> None:
        batch, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        self._writing = len(batch)
        if runs := [run for run, _ in batch if run.ctx.has_log_lines]:
            await self._keep_logs(runs)
        outcomes = [outcome for _, outcome in batch]
        won = await until_available(lambda: self._store.finish(outcomes, now=self._clock()), "record finished jobs")
        self._writing = 0
        self._settled(batch, set(won))

    async def _keep_logs(self, runs: Sequence[Run]) -> None:
        """While they are still ours. How they ended is worth more, and must not be lost for what they logged."""
        try:
            await until_available(lambda: self._logbook.write(runs), "keep what jobs logged")
        except LamplighterError as error:
            _log.warning("What jobs logged at their end is not kept: %s", error)
