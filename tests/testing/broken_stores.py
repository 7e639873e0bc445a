"""Stores that break one promise each, for runs that have to notice. Named as `module:function` in a plan's `wrap`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from msgspec.structs import replace

from lamplighter.core.model import Added, NewJob, Outcome, State, Where
from lamplighter.store.base import Store


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
    """Acknowledges one job in a hundred without keeping it."""

    _count = 0

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        kept = [job for job in jobs if job.parent is not None or not self._drops()]
        answers = {one.id: one for one in await self._store.add(kept, now=now, tx=tx)}
        by_job = dict(zip((job.id for job in kept), answers.values(), strict=False))
        return [by_job.get(job.id, Added(job.id, True)) for job in jobs]

    def _drops(self) -> bool:
        self._count += 1
        return self._count % 100 == 0


class _IgnoresFences(_Wrapped):
    """Accepts the end of an attempt from whoever comes, whoever has the job by now."""

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        ids = tuple(outcome.id for outcome in outcomes)
        running = await self._store.page(Where(ids=ids, states=(State.RUNNING,)), limit=len(ids))
        fences = {view.id: view.fence for view in running}
        forged = [replace(one, fence=fences.get(one.id, one.fence)) for one in outcomes]
        return await self._store.finish(forged, now=now)


class _ForgetsToFinish(_Wrapped):
    """Says that ends were recorded, and records none of one job in fifty."""

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        forgotten = [one.id for one in outcomes if one.verb == "done" and hash(one.id) % 50 == 0]
        await self._store.finish([one for one in outcomes if one.id not in forgotten], now=now)
        return [one.id for one in outcomes]


def drops_adds(store: Store) -> Store:
    return cast(Store, _DropsAdds(store))


def ignores_fences(store: Store) -> Store:
    return cast(Store, _IgnoresFences(store))


def forgets_to_finish(store: Store) -> Store:
    return cast(Store, _ForgetsToFinish(store))
