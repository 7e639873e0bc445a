"""All go by the store's clock: a machine whose own is wrong neither takes leases nor loses them."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta

import pytest

from lamplighter import App, Ctx
from lamplighter.core.clock import WallClock, utcnow
from lamplighter.core.config import Settings
from lamplighter.core.model import State
from lamplighter.engine.timekeeping import keep_time
from lamplighter.store.memory import MemoryStore
from lamplighter.testing import FakeClock

WRONG = [timedelta(hours=1), timedelta(hours=-1)]


class Timed(MemoryStore):
    """A store with a clock of its own, which is right."""

    async def time(self) -> datetime | None:
        return utcnow()


def wrong_by(ahead: timedelta) -> WallClock:
    return WallClock(lambda: utcnow() + ahead)


@pytest.mark.parametrize("ahead", WRONG)
async def test_a_worker_whose_clock_is_wrong_leaves_the_jobs_of_others_alone(ahead: timedelta) -> None:
    store = Timed()
    right, wrong = (App(store, settings=Settings(), clock=clock) for clock in (WallClock(), wrong_by(ahead)))
    began, release = asyncio.Event(), asyncio.Event()

    @right.job()
    async def hold(ctx: Ctx[None]) -> int:
        began.set()
        await release.wait()
        return ctx.attempt

    async with right, wrong, right.worker():
        held = await hold.enqueue()
        await asyncio.wait_for(began.wait(), 10)
        await wrong.store.sweep(10, now=wrong.clock())
        view = await held.view()
        assert (view.state, view.crashes) == (State.RUNNING, 0)
        release.set()
        assert await held.result(timeout=10) == 1


@pytest.mark.parametrize(("ahead", "way"), [(WRONG[0], "1h ahead of"), (WRONG[1], "1h behind")])
async def test_an_operator_is_told_of_a_wrong_clock_once(
    ahead: timedelta, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = wrong_by(ahead)
    with caplog.at_level(logging.WARNING):
        await keep_time(clock, Timed())
        await keep_time(clock, Timed())
    [told] = [record.message for record in caplog.records]
    assert f"This machine's clock is {way} the store's" in told
    assert abs(clock() - utcnow()) < timedelta(seconds=5)


async def test_a_clock_of_tests_is_left_alone() -> None:
    clock = FakeClock()
    before = clock()
    await keep_time(clock, Timed())
    assert clock() == before


async def test_a_store_without_a_clock_leaves_the_machines_own_in_force() -> None:
    clock = wrong_by(WRONG[0])
    await keep_time(clock, MemoryStore())
    assert clock() - utcnow() > timedelta(minutes=59)
