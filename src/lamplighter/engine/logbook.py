"""Gives the store what attempts logged: with their beats, and before they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lamplighter.core.log_line import Logged
from lamplighter.engine.run import Run
from lamplighter.store.base import Store

MOST_TOGETHER = 250  # lines in one call: half a megabyte at most, so that it holds nobody else up


class Logbook:
    """Writes the lines of a worker's attempts to a store that keeps the last `keep` of each job."""

    def __init__(self, store: Store, keep: int) -> None:
        self._store = store
        self._keep = keep

    async def write(self, runs: Iterable[Run]) -> None:
        """Write what they logged since. Lines wait until the store has said that it has them, so none is lost when it
        does not answer; they may be written from two loops at a time, for the store knows those that come twice.

        Raises:
            StoreUnavailable: the store is away; what it does not have waits.
        """
        for batch in _batches([run for run in runs if run.ctx.has_log_lines and not run.lost]):
            await self._store.log([logged for _, logged in batch], keep=self._keep)
            for run, logged in batch:
                run.ctx.log.told(logged.lines[-1].n)


def _batches(runs: Iterable[Run]) -> Iterator[list[tuple[Run, Logged]]]:
    batch: list[tuple[Run, Logged]] = []
    room = MOST_TOGETHER
    for run in runs:
        lines = run.ctx.log.waiting()
        while lines:
            some, lines = lines[:room], lines[room:]
            batch.append((run, Logged(run.job.id, run.job.fence, some)))
            room -= len(some)
            if not room:
                yield batch
                batch, room = [], MOST_TOGETHER
    if batch:
        yield batch
