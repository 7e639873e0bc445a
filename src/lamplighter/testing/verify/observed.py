"""A store as a worker of the run uses it: what it gives and accepts is told to the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast

from lamplighter.core.model import Beat, Beaten, Claimed, Outcome, Record
from lamplighter.store.base import Store
from lamplighter.testing.verify.lines import Journal


class Observed:
    """Passes everything on. `fences` has the newest fence of each job that this process claimed."""

    def __init__(self, store: Store, journal: Journal, *, lease: float) -> None:
        self.fences: dict[str, int] = {}
        self._store = store
        self._journal = journal
        self._lease = lease

    @property
    def as_store(self) -> Store:
        """Itself, to the type checker."""
        return cast(Store, self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def __aenter__(self) -> Store:
        await self._store.__aenter__()
        return self.as_store

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        """Tells what was claimed before any of it runs."""
        claimed = await self._store.claim(queues, limit, worker=worker, lease=lease, now=now)
        self.fences.update((job.id, job.fence) for job in claimed)
        self._journal.write(*(self._journal.line("claimed", job.id, job.fence) for job in claimed))
        return claimed

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        """Tells which outcomes the store accepted, and when it was asked to."""
        since = time.monotonic()
        won = await self._store.finish(outcomes, now=now)
        newest = {one.id: one.fence for one in sorted(outcomes, key=lambda one: one.fence)}
        accepted = {(job, newest[job]) for job in won}  # of two attempts of one job, which it lost and got again
        self._journal.write(
            *(
                self._journal.line(
                    "finished" if (one.id, one.fence) in accepted else "refused",
                    one.id,
                    one.fence,
                    since=since,
                    detail=one.verb,
                )
                for one in outcomes
            )
        )
        return won

    async def put(self, record: Record) -> None:
        """Tells of the worker's sign of life, which goes before each renewal, if that was slow."""
        with self._renewal():
            await self._store.put(record)

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        """Tells of renewals so slow that leases may run out meanwhile."""
        with self._renewal():
            return await self._store.beat(beats, lease=lease, now=now)

    @contextmanager
    def _renewal(self) -> Iterator[None]:
        since = time.monotonic()
        try:
            yield
        finally:
            if time.monotonic() - since > self._lease / 3:
                self._journal.write(self._journal.line("stalled", since=since, detail="a renewal of leases took long"))
