"""Why a schedule makes no job."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.app.presence import worker

from lamplighter import App, Ctx
from lamplighter.app.why import blocker
from lamplighter.app.why.schedule import find_schedule, why_schedule
from lamplighter.core.model import Where
from lamplighter.engine.tick import Told
from lamplighter.testing import FakeClock

C = Ctx[None]
EVERY = Where()


async def told_of(app: App[None], name: str = "report") -> Told:
    told = await find_schedule(app.store, name, now=app.clock())
    assert told is not None
    return told


async def scheduled(app: App[None], *, unique: bool = False) -> None:
    """An app with a schedule for each hour, which a worker has seen."""

    @app.job("report", queue="reports", unique=unique)
    async def report(ctx: C) -> None: ...

    app.every(timedelta(hours=1), report.draft())
    await app.work(until_idle=True)


async def test_a_schedule_that_nobody_has_had_is_not_there(timed: App[None]) -> None:
    assert await find_schedule(timed.store, "report", now=timed.clock()) is None


async def test_a_slot_that_is_yet_to_come_is_told(timed: App[None], clock: FakeClock) -> None:
    await scheduled(timed)
    clock.advance(1200)
    [found] = await why_schedule(timed.store, "report", await told_of(timed), now=clock())
    assert isinstance(found, blocker.NextSlot)
    assert (found.left, found.slot, found.last_at) == (2400, clock() + timedelta(minutes=40), None)
    assert found.says == "its next slot (every 1:00:00) comes in 40m: wait for it."


async def test_a_slot_that_no_worker_fired_is_told(timed: App[None], clock: FakeClock) -> None:
    await scheduled(timed)
    clock.advance(7200)
    [found] = await why_schedule(timed.store, "report", await told_of(timed), now=clock())
    assert isinstance(found, blocker.NotFired)
    assert (found.late, found.workers) == (3600, 0)
    assert found.says == "it should have fired 60m ago, and no worker did it: no worker is alive, so start one."
    await worker(timed)
    [found] = await why_schedule(timed.store, "report", await told_of(timed), now=clock())
    assert found.says.endswith("start a worker whose app has it.")


async def test_a_slot_that_was_skipped_is_told_with_the_job_that_held_its_key(
    timed: App[None], clock: FakeClock
) -> None:
    await scheduled(timed, unique=True)
    await timed.pause("reports")
    for _ in range(2):
        clock.advance(3600)
        await timed.work(until_idle=True)
    [stuck] = [view.id for view in await timed.store.page(EVERY, limit=10) if view.state == "queued"]
    found = await why_schedule(timed.store, "report", await told_of(timed), now=clock())
    skipped, *of_the_holder, paused, next_slot = found
    assert isinstance(skipped, blocker.Skipped)
    assert (skipped.holder, skipped.slot) == (stuck, clock())
    assert [one.kind for one in of_the_holder] == ["paused", "no_worker"]
    assert (paused.kind, next_slot.kind) == ("paused", "next_slot")
    await timed.resume("reports")
    await timed.work(until_idle=True)
    clock.advance(3600)
    await timed.work(until_idle=True)
    assert (await told_of(timed)).held_by is None  # this one was fired


async def test_a_slot_that_another_worker_fired_was_not_skipped(timed: App[None], clock: FakeClock) -> None:
    await scheduled(timed)
    clock.advance(3600)
    await asyncio.gather(*(timed.work(until_idle=True) for _ in range(3)))
    assert (await told_of(timed)).held_by is None


async def test_a_paused_schedule_is_told(timed: App[None], clock: FakeClock) -> None:
    await scheduled(timed)
    await timed.crons.pause("report")
    clock.advance(7200)
    [found] = await why_schedule(timed.store, "report", await told_of(timed), now=clock())
    assert isinstance(found, blocker.CronPaused)
    assert found.since == clock() - timedelta(hours=2)
    assert "`lamplighter crons resume` lets it go on" in found.says
    await timed.crons.resume("report")
    [found] = await why_schedule(timed.store, "report", await told_of(timed), now=clock())
    assert found.kind == "not_fired"
