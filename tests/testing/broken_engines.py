"""Stores and engines that break one promise each, for simulations that have to notice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import pytest
from msgspec.structs import replace

from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.model import (
    Beaten,
    Cancelled,
    Claimed,
    NewJob,
    Outcome,
    State,
    Swept,
    Where,
)
from lamplighter.engine import finish, tick
from lamplighter.engine.fetch import Fetcher
from lamplighter.engine.lease import Keeper
from lamplighter.engine.outcome import Verdicts
from lamplighter.engine.run import Run
from lamplighter.engine.worker import Worker
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.testing.simulation.truth import at_once


class Wrapped:
    """Passes everything on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @classmethod
    def wrap(cls, store: Store) -> Store:
        return cast(Store, cls(store))


class IgnoresFences(Wrapped):
    """Accepts the end of an attempt from whoever comes, whoever has the job by now."""

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        ids = tuple(outcome.id for outcome in outcomes)
        running = at_once(self._store.page(Where(ids=ids, states=(State.RUNNING,)), limit=len(ids)))
        fences = {view.id: view.fence for view in running}
        return await self._store.finish(
            [replace(one, fence=fences.get(one.id, one.fence)) for one in outcomes], now=now
        )


class RescuesTheLiving(Wrapped):
    """Takes leases for over that last for another while."""

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        running = at_once(self._store.page(Where(states=(State.RUNNING,)), limit=1))
        return await self._store.sweep(limit, now=now + timedelta(seconds=8) if running else now)


class RenewsNothing(Wrapped):
    """Says that leases were renewed."""

    async def beat(self, *_: Any, **__: Any) -> Beaten:
        return Beaten([], [])


class CancelsNothing(Wrapped):
    """Says of a waiting job that it is cancelled, and lets it run."""

    async def cancel(self, where: Where, *, limit: int, **_: Any) -> Cancelled:
        found = at_once(self._store.page(where, limit=limit))
        return Cancelled([view.id for view in found if view.state is State.SCHEDULED], [])


class LosesSlots(Wrapped):
    """Forgets now and then that a job which ended had a slot of its limits."""

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        flow = cast(MemoryStore, self._store)._flow
        settle = flow.settle
        if int(now.timestamp()) % 5 == 0:
            flow.settle = lambda *_: None  # type: ignore[method-assign]
        try:
            return await self._store.finish(outcomes, now=now)
        finally:
            flow.settle = settle  # type: ignore[method-assign]


class SlotsWithoutKeys(Wrapped):
    """Keeps no key of a schedule's slot."""

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> Any:
        return await self._store.add([_without_slot(job) for job in jobs], now=now, tx=tx)


def _without_slot(job: NewJob) -> NewJob:
    is_slot = job.unique is not None and job.unique.key.startswith("cron:")
    return replace(job, unique=None) if is_slot else job


def trusts_late_claims(patch: pytest.MonkeyPatch) -> None:
    """A worker begins what it claimed, however late it hears of it."""

    async def all_of_them(_: Fetcher, claimed: list[Claimed]) -> list[Claimed]:
        return claimed

    patch.setattr(Fetcher, "_renewed", all_of_them)


def gives_up_on_outcomes(patch: pytest.MonkeyPatch) -> None:
    """A worker lets go of an outcome that the store does not take at once."""

    async def once(step: Callable[[], Awaitable[Any]], _: str) -> Any:
        try:
            return await step()
        except StoreUnavailable:
            return []

    patch.setattr(finish, "until_available", once)


def spends_attempts_on_leaving(patch: pytest.MonkeyPatch) -> None:
    """A worker that stops lets its jobs fail."""

    def stopped(self: Verdicts, asked: Literal["cancel", "release"] | None, error: BaseException) -> Outcome:
        return self.raised(RuntimeError("stopped"))

    patch.setattr(Verdicts, "stopped", stopped)


def renews_seldom(patch: pytest.MonkeyPatch) -> None:
    """A worker renews its leases only when they are over."""
    assert "beat_interval" in Keeper.__init__.__code__.co_names
    patch.setattr("lamplighter.engine.lease.beat_interval", lambda lease: 1.2 * lease.total_seconds())


def leaves_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """A worker that stops leaves its jobs to their leases."""

    async def no_time(_: Worker) -> None:
        return

    patch.setattr(Worker, "_drain", no_time)
    patch.setattr(Run, "ask", lambda *_: None)


def fires_under_ids_of_chance(patch: pytest.MonkeyPatch) -> None:
    """Each scheduler makes a job of its own for a slot."""
    slot_job = tick.slot_job
    patch.setattr(tick, "slot_job", lambda *given: replace(slot_job(*given), unique=None))


STORES: tuple[type[Wrapped], ...] = (
    IgnoresFences,
    RescuesTheLiving,
    RenewsNothing,
    CancelsNothing,
    LosesSlots,
    SlotsWithoutKeys,
)
# Each with a seed that shows it.
ENGINES: dict[Callable[[pytest.MonkeyPatch], None], int] = {
    trusts_late_claims: 883,
    gives_up_on_outcomes: 1,
    spends_attempts_on_leaving: 16,
    renews_seldom: 8,
    leaves_without_a_word: 5,
    fires_under_ids_of_chance: 0,
}
