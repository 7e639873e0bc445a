"""The seam between an app and its store, whichever that is: each call is timed, and below somebody's span has its own.

The loops of a worker ask all the time and below no span; how long that takes is for metrics to tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from lamplighter.core.flow_control import GateView, Order, ShareView
from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.core.model import (
    Added,
    Arguments,
    Beat,
    Beaten,
    Cancelled,
    Claimed,
    EndedJob,
    EndedPlace,
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
from lamplighter.observe.tracing import is_sampled, store_call, tracer
from lamplighter.store.base import Store

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


SYSTEMS = {"postgres": "postgresql", "rediss": "redis"}


class ObservedStore:
    """A store whose calls a meter counts and traces show; all else is as that store does it."""

    def __init__(self, store: Store, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    @property
    def url(self) -> str:
        return self._store.url

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        with self._call("add"):
            return await self._store.add(jobs, now=now, tx=tx)

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> list[Added]:
        with self._call("add"):
            return self._store.add_within(tx, jobs, now=now)

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        with self._call("claim"):
            return await self._store.claim(queues, limit, worker=worker, lease=lease, now=now)

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        with self._call("finish"):
            return await self._store.finish(outcomes, now=now)

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        with self._call("beat"):
            return await self._store.beat(beats, lease=lease, now=now)

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        with self._call("sweep"):
            return await self._store.sweep(limit, now=now)

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        with self._call("cancel"):
            return await self._store.cancel(where, limit=limit, now=now, keep_until=keep_until)

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        with self._call("retry"):
            return await self._store.retry(where, limit=limit, now=now)

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        with self._call("prune"):
            return await self._store.prune(keep, limit=limit, now=now)

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        with self._call("page"):
            return await self._store.page(where, limit=limit, before=before)

    async def forget(self, where: Where, *, limit: int) -> list[str]:
        with self._call("forget"):
            return await self._store.forget(where, limit=limit)

    async def arguments(self, where: Where, *, limit: int, before: str | None = None) -> list[Arguments]:
        with self._call("arguments"):
            return await self._store.arguments(where, limit=limit, before=before)

    async def ended(self, after: EndedPlace, *, limit: int) -> list[EndedJob]:
        with self._call("ended"):
            return await self._store.ended(after, limit=limit)

    async def failures(self, job: str) -> list[Failure]:
        with self._call("failures"):
            return await self._store.failures(job)

    async def log(self, logged: Sequence[Logged], *, keep: int) -> None:
        with self._call("log"):
            await self._store.log(logged, keep=keep)

    async def logs(self, job: str, *, limit: int, after: LogPlace | None = None) -> list[LogLine]:
        with self._call("logs"):
            return await self._store.logs(job, limit=limit, after=after)

    async def stats(self) -> list[QueueStats]:
        with self._call("stats"):
            return await self._store.stats()

    async def pause(self, queue: str, *, paused: bool) -> None:
        with self._call("pause"):
            await self._store.pause(queue, paused=paused)

    async def put(self, record: Record) -> None:
        with self._call("put"):
            await self._store.put(record)

    async def drop(self, kind: str, name: str) -> None:
        with self._call("drop"):
            await self._store.drop(kind, name)

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        with self._call("records"):
            return await self._store.records(kind, now=now)

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        with self._call("order"):
            await self._store.order(orders, now=now)

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        with self._call("gates"):
            return await self._store.gates(keys, limit=limit, now=now)

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        with self._call("shares"):
            return await self._store.shares(queue, limit=limit)

    async def time(self) -> datetime | None:
        with self._call("time"):
            return await self._store.time()

    def wake(self) -> AsyncIterator[None]:
        return self._store.wake()

    def _call(self, name: str) -> AbstractContextManager[None]:
        spans = tracer() if is_sampled() else None
        return self._meter.operation(name) if spans is None else self._traced(name, spans)

    @contextmanager
    def _traced(self, name: str, spans: Tracer) -> Iterator[None]:
        scheme = urlsplit(self.url).scheme
        with self._meter.operation(name), store_call(spans, SYSTEMS.get(scheme, scheme), name):
            yield
