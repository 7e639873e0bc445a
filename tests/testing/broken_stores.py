"""Stores that break one promise each, for runs that have to notice. Named as `module:function` in a plan's `wrap`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from msgspec.structs import replace

from lamplighter.core.model import Added, Claimed, NewJob, Outcome, State, Unique, Where
from lamplighter.store.base import Store
from lamplighter.testing.verify.jobs import MAX_CRASHES


class _Wrapped:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def __aenter__(self) -> Any:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)


class _DropsAdds(_Wrapped):
    """Acknowledges jobs without keeping one in a hundred."""

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        kept = [job for job in jobs if not _one_in(100, job.id)]
        answers = dict(zip([job.id for job in kept], await self._store.add(kept, now=now, tx=tx), strict=True))
        return [answers.get(job.id, Added(job.id, True)) for job in jobs]


class _IgnoresFences(_Wrapped):
    """Accepts the end of an attempt from whoever comes, whoever has the job by now. Leases are so short that many lose
    theirs."""

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        return await self._store.claim(queues, limit, worker=worker, lease=lease / 40, now=now)

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        ids = tuple(outcome.id for outcome in outcomes)
        running = await self._store.page(Where(ids=ids, states=(State.RUNNING,)), limit=len(ids))
        fences = {view.id: view.fence for view in running}
        forged = [replace(one, fence=fences.get(one.id, one.fence)) for one in outcomes]
        return await self._store.finish(forged, now=now)


class _ForgetsToFinish(_Wrapped):
    """Says that ends were recorded, and does not record the first of one job in fifty."""

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        await self._store.finish([one for one in outcomes if one.fence > 1 or not _one_in(50, one.id)], now=now)
        return [one.id for one in outcomes]


class _KeepsKeys(_Wrapped):
    """Holds unique keys for an hour, whatever becomes of their jobs."""

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        until = now + timedelta(hours=1)
        kept = [replace(job, unique=job.unique and Unique(job.unique.key, "period", until)) for job in jobs]
        return await self._store.add(kept, now=now, tx=tx)


class _GivesUp(_Wrapped):
    """Tells of one job in fifty that its worker vanished more often than any may."""

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        claimed = await self._store.claim(queues, limit, worker=worker, lease=lease, now=now)
        return [job._replace(crashes=MAX_CRASHES) if _one_in(50, job.id) else job for job in claimed]


def _one_in(many: int, job: str) -> bool:
    return int(job[-6:], 16) % many == 0


def drops_adds(store: Store) -> Store:
    return cast(Store, _DropsAdds(store))


def ignores_fences(store: Store) -> Store:
    return cast(Store, _IgnoresFences(store))


def forgets_to_finish(store: Store) -> Store:
    return cast(Store, _ForgetsToFinish(store))


def keeps_keys(store: Store) -> Store:
    return cast(Store, _KeepsKeys(store))


def gives_up(store: Store) -> Store:
    return cast(Store, _GivesUp(store))
