"""Times every call of a store, whichever it is: the seam tells, so that no store has to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Self

from lamplighter.core.flow_control import GateView, Order, ShareView
from lamplighter.core.model import (
    Added,
    Beat,
    Beaten,
    Cancelled,
    Claimed,
    Failure,
    JobView,
    Keep,
    NewJob,
    Outcome,
    QueueStats,
    Record,
    Swept,
    Where,
)
from lamplighter.observe.meter import Meter
from lamplighter.store.base import Store


class TimedStore:
    """A store whose calls a meter counts; all else is as that store does it."""

    def __init__(self, store: Store, meter: Meter) -> None:
        self._store = store
        self._timed = meter.operation

    @property
    def url(self) -> str:
        return self._store.url

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        with self._timed("add"):
            return await self._store.add(jobs, now=now, tx=tx)

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> list[Added]:
        with self._timed("add"):
            return self._store.add_within(tx, jobs, now=now)

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        with self._timed("claim"):
            return await self._store.claim(queues, limit, worker=worker, lease=lease, now=now)

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        with self._timed("finish"):
            return await self._store.finish(outcomes, now=now)

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        with self._timed("beat"):
            return await self._store.beat(beats, lease=lease, now=now)

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        with self._timed("sweep"):
            return await self._store.sweep(limit, now=now)

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        with self._timed("cancel"):
            return await self._store.cancel(where, limit=limit, now=now, keep_until=keep_until)

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        with self._timed("retry"):
            return await self._store.retry(where, limit=limit, now=now)

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        with self._timed("prune"):
            return await self._store.prune(keep, limit=limit, now=now)

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        with self._timed("page"):
            return await self._store.page(where, limit=limit, before=before)

    async def failures(self, job: str) -> list[Failure]:
        with self._timed("failures"):
            return await self._store.failures(job)

    async def stats(self) -> list[QueueStats]:
        with self._timed("stats"):
            return await self._store.stats()

    async def pause(self, queue: str, *, paused: bool) -> None:
        with self._timed("pause"):
            await self._store.pause(queue, paused=paused)

    async def put(self, record: Record) -> None:
        with self._timed("put"):
            await self._store.put(record)

    async def drop(self, kind: str, name: str) -> None:
        with self._timed("drop"):
            await self._store.drop(kind, name)

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        with self._timed("records"):
            return await self._store.records(kind, now=now)

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        with self._timed("order"):
            await self._store.order(orders, now=now)

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        with self._timed("gates"):
            return await self._store.gates(keys, limit=limit, now=now)

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        with self._timed("shares"):
            return await self._store.shares(queue, limit=limit)

    async def time(self) -> datetime | None:
        with self._timed("time"):
            return await self._store.time()

    def wake(self) -> AsyncIterator[None]:
        return self._store.wake()
