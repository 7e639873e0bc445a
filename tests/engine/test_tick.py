"""Schedules: each slot becomes one job, whoever ticks, and whatever the wall clock does meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.waits import until_true

from lamplighter import App, BadCron, ConfigError, Ctx, Event, Misfire, State
from lamplighter.core.config import Settings
from lamplighter.core.errors import NotScheduledHere, UnknownSchedule
from lamplighter.core.flow_control import QueueRule
from lamplighter.core.model import JobView, Where
from lamplighter.engine.tick import Ticker
from lamplighter.store.rules import record_of
from lamplighter.testing import FakeClock

C = Ctx[None]
MINUTE = timedelta(minutes=1)


def with_schedule(app: App[None], schedule: Callable[[App[None], Any], None], **options: Any) -> App[None]:
    @app.job("light", **options)
    async def light(ctx: C) -> None: ...

    schedule(app, light)
    return app


def each_minute(app: App[None], job: Any) -> None:
    app.every(MINUTE, job.draft())


def beside(app: App[None], clock: FakeClock) -> App[None]:
    """Another app on the same store, as another process or a restart would have it."""
    return App(app.store, settings=Settings(), clock=clock)


def ticker(app: App[None]) -> Ticker:
    return Ticker(app.store, app._clock, tuple(app._entries.values()), lambda *_: None)


async def made(app: App[None]) -> list[JobView]:
    return list(reversed(await app.store.page(Where(), limit=5000)))


async def test_a_slot_becomes_one_job_though_many_tick_at_once(timed: App[None], clock: FakeClock) -> None:
    tickers = [ticker(with_schedule(beside(timed, clock), each_minute)) for _ in range(10)]
    await asyncio.gather(*(one.tick() for one in tickers))  # now it is known
    for _ in range(5):
        clock.advance(60)
        await asyncio.gather(*(one.tick() for one in tickers))
    jobs = await made(timed)
    assert [job.run_at for job in jobs] == [clock() - n * MINUTE for n in (4, 3, 2, 1, 0)]


async def test_a_late_ticker_does_not_make_a_job_again_that_was_done_and_forgotten(
    timed: App[None], clock: FakeClock
) -> None:
    app = with_schedule(timed, each_minute, keep_done=timedelta())
    fired: list[Event] = []
    app.listen(fired.append)
    late = ticker(with_schedule(beside(timed, clock), each_minute))
    known = await late.tick(), await app.store.records("cron", now=clock())
    clock.advance(60)
    await until_fired(app, fired)
    assert await made(app) == []
    [record] = known[1]
    await app.store.put(record)  # as it was when the late one read it
    await late.tick()
    assert await made(app) == []


async def until_fired(app: App[None], events: list[Event]) -> None:
    async with app.worker() as worker:
        await until_true(lambda: any(event.kind == "done" for event in events))
        await app.until_idle(worker)


@pytest.mark.parametrize(
    ("misfire", "down", "expected"),
    [
        ("skip", 3600, [0]),  # that one is not a minute old: it was not missed
        ("once", 3600, [0]),
        ("all", 240, [180, 120, 60, 0]),
        ("skip", 30, []),
        ("once", 75, [0]),
        ("all", 60 * 60 * 24 * 20, list(range(999 * 60, -60, -60))),
    ],
)
async def test_slots_missed_while_nobody_was_there_fire_as_the_schedule_says(
    timed: App[None], clock: FakeClock, misfire: Misfire, down: float, expected: list[int]
) -> None:
    def schedule(app: App[None], job: Any) -> None:
        app.every(MINUTE, job.draft(), misfire=misfire)

    clock.advance(0.5)
    await ticker(with_schedule(beside(timed, clock), schedule)).tick()
    clock.advance(down)
    restarted = ticker(with_schedule(beside(timed, clock), schedule))
    await restarted.tick()
    newest = datetime.fromtimestamp(clock().timestamp() // 60 * 60, UTC)
    jobs = [(newest - job.run_at).total_seconds() for job in await made(timed)]
    assert jobs == expected


async def test_a_new_schedule_has_missed_nothing(timed: App[None], clock: FakeClock) -> None:
    def all_of_them(app: App[None], job: Any) -> None:
        app.every(MINUTE, job.draft(), misfire="all")

    await ticker(with_schedule(timed, all_of_them)).tick()
    assert await made(timed) == []


async def test_a_changed_schedule_has_not_missed_what_was_no_slot_then(timed: App[None], clock: FakeClock) -> None:
    def monthly(app: App[None], job: Any) -> None:
        app.cron("0 0 1 * *", job.draft(), misfire="all")

    def all_of_them(app: App[None], job: Any) -> None:
        app.every(MINUTE, job.draft(), misfire="all")

    await ticker(with_schedule(beside(timed, clock), monthly)).tick()
    clock.advance(timedelta(days=20, seconds=30))
    changed = ticker(with_schedule(timed, all_of_them))
    await changed.tick()
    assert [clock() - job.run_at for job in await made(timed)] == [timedelta(seconds=30)]
    clock.advance(60)
    await changed.tick()
    assert len(await made(timed)) == 2


async def test_two_versions_of_a_schedule_at_once_keep_both_firing(timed: App[None], clock: FakeClock) -> None:
    def three_minutes(app: App[None], job: Any) -> None:
        app.every(3 * MINUTE, job.draft())

    old, new = (ticker(with_schedule(beside(timed, clock), how)) for how in (three_minutes, each_minute))
    for _ in range(7):
        await old.tick()
        await new.tick()
        clock.advance(60)
    assert len(await made(timed)) == 7


async def test_jobs_with_a_key_of_their_own_do_not_pile_up(timed: App[None], clock: FakeClock) -> None:
    events: list[Event] = []
    app = with_schedule(timed, each_minute, unique=True)
    one = Ticker(app.store, clock, tuple(app._entries.values()), lambda _, jobs: told.append(len(jobs)))
    told: list[int] = []
    app.listen(events.append)
    for _ in range(5):
        await one.tick()
        clock.advance(60)
    assert [job.state for job in await made(app)] == [State.QUEUED]
    assert told == [1, 0, 0, 0]  # and nobody is told of jobs that were not made


async def test_a_full_queue_takes_no_slot_and_ends_no_worker(
    timed: App[None], clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await timed.store.put(record_of("narrow", QueueRule(most=1)))
    one = ticker(with_schedule(timed, each_minute, queue="narrow"))
    await one.tick()
    for _ in range(3):
        clock.advance(60)
        await one.tick()
    assert len(await made(timed)) == 1
    assert "Schedule 'light' makes no job: the queue 'narrow' takes 1 waiting jobs" in caplog.text
    await timed.store.cancel(Where(), limit=1, now=clock())
    clock.advance(60)
    await one.tick()
    assert [job.state for job in await made(timed)] == [State.CANCELLED, State.QUEUED]


async def test_a_restart_remembers_the_last_slot(timed: App[None], clock: FakeClock) -> None:
    app = with_schedule(timed, each_minute)
    await ticker(app).tick()
    clock.advance(60)
    await ticker(app).tick()
    await ticker(app).tick()
    assert len(await made(app)) == 1


async def test_a_clock_that_is_set_back_makes_no_slot_again(timed: App[None], clock: FakeClock) -> None:
    app = with_schedule(timed, each_minute)
    one = ticker(app)
    await one.tick()
    clock.advance(60)
    await one.tick()
    clock.advance(-60)
    await one.tick()
    clock.advance(60)
    await one.tick()
    assert len(await made(app)) == 1


async def test_a_record_that_cannot_be_read_starts_the_schedule_anew(timed: App[None], clock: FakeClock) -> None:
    from msgspec.structs import replace

    app = with_schedule(timed, each_minute)
    await ticker(app).tick()
    [record] = await app.store.records("cron", now=clock())
    await app.store.put(replace(record, value="{}"))
    clock.advance(60)
    await ticker(app).tick()
    assert await made(app) == []
    clock.advance(60)
    await ticker(app).tick()
    assert len(await made(app)) == 1


@pytest.mark.parametrize(
    ("day", "fires"),
    [
        (datetime(2030, 3, 31, tzinfo=UTC), ["01:00"]),  # 02:30 does not exist: right after the gap
        (datetime(2030, 10, 27, tzinfo=UTC), ["00:30"]),  # 02:30 comes twice: once
        (datetime(2030, 6, 1, tzinfo=UTC), ["00:30"]),
    ],
    ids=["spring", "autumn", "summer"],
)
async def test_a_night_in_berlin_has_its_job_once(url: str, day: datetime, fires: list[str]) -> None:
    clock = FakeClock(day - timedelta(hours=2))

    def at_half_past_two(app: App[None], job: Any) -> None:
        app.cron("30 2 * * *", job.draft(), tz="Europe/Berlin")

    app = with_schedule(App(url, settings=Settings(), clock=clock), at_half_past_two)
    async with app:
        one = ticker(app)
        for _ in range(40):
            await one.tick()
            clock.advance(900)
        assert [f"{job.run_at:%H:%M}" for job in await made(app)] == fires


async def test_a_worker_fires_schedules_and_says_so(timed: App[None], clock: FakeClock) -> None:
    events: list[Event] = []
    app = with_schedule(timed, lambda app, job: app.cron("* * * * *", job.draft(), name="lamps"))
    app.listen(events.append)
    await ticker(app).tick()
    clock.advance(60)
    await until_fired(app, events)
    assert Counter(event.kind for event in events) == {"fired": 1, "started": 1, "done": 1}
    [fired] = [event for event in events if event.kind == "fired"]
    assert (fired.reason, fired.name, fired.queue) == ("lamps", "light", "default")


def test_a_schedule_that_cannot_be_read_is_refused_when_it_is_made() -> None:
    app = App("memory://", settings=Settings())

    @app.job()
    async def light(ctx: C) -> None: ...

    with pytest.raises(BadCron, match="write five fields"):
        app.cron("every day", light.draft())
    with pytest.raises(BadCron, match="that can come true"):
        app.cron("0 0 30 2 *", light.draft())
    with pytest.raises(BadCron, match="no time zone 'Europe/Berln'"):
        app.cron("0 3 * * *", light.draft(), tz="Europe/Berln")
    with pytest.raises(BadCron, match="too short"):
        app.every(timedelta(milliseconds=5), light.draft())
    app.every(MINUTE, light.draft())
    with pytest.raises(ConfigError, match=r"two schedules are named 'light': give one of them another name=\."):
        app.every(MINUTE, light.draft())


async def test_a_paused_schedule_makes_no_jobs_nor_makes_up_for_them(timed: App[None], clock: FakeClock) -> None:
    one = ticker(with_schedule(timed, each_minute))
    await one.tick()
    await timed.crons.pause("light")
    for _ in range(3):
        clock.advance(60)
        await one.tick()
    await timed.crons.resume("light")
    await one.tick()
    assert await made(timed) == []
    clock.advance(60)
    await one.tick()
    assert [job.run_at for job in await made(timed)] == [clock()]


async def test_slots_of_a_pause_that_no_worker_saw_are_not_made_up_for(timed: App[None], clock: FakeClock) -> None:
    def all_of_them(app: App[None], job: Any) -> None:
        app.every(MINUTE, job.draft(), misfire="all")

    await ticker(with_schedule(timed, all_of_them)).tick()
    await timed.crons.pause("light")
    clock.advance(180)
    await timed.crons.resume("light")
    clock.advance(60)
    await ticker(with_schedule(beside(timed, clock), all_of_them)).tick()
    assert [job.run_at for job in await made(timed)] == [clock()]


async def test_a_paused_schedule_still_tells_its_next_slot(timed: App[None], clock: FakeClock) -> None:
    one = ticker(with_schedule(timed, each_minute))
    await one.tick()
    await timed.crons.pause("light")
    clock.advance(60)
    await one.tick()
    [cron] = await timed.crons.look(slots=2)
    assert cron.comes == (clock() + MINUTE, clock() + 2 * MINUTE)
    assert (cron.last_at, cron.paused_since) == (None, clock() - MINUTE)


async def test_pausing_again_keeps_when_it_began_and_resuming_again_when_it_ended(
    timed: App[None], clock: FakeClock
) -> None:
    with_schedule(timed, each_minute)
    began = clock()
    await timed.crons.pause("light")
    clock.advance(60)
    await timed.crons.pause("light")
    [cron] = await timed.crons.look()
    assert cron.paused_since == began
    await timed.crons.resume("light")
    before = await timed.store.records("cron_paused", now=clock())
    clock.advance(60)
    await timed.crons.resume("light")
    assert await timed.store.records("cron_paused", now=clock()) == before
    [cron] = await timed.crons.look()
    assert cron.paused_since is None


async def test_a_schedule_can_be_run_by_hand_even_while_it_is_paused(timed: App[None]) -> None:
    with_schedule(timed, each_minute)
    await timed.crons.pause("light")
    handle = await timed.run_cron("light")
    assert handle.created
    assert [job.id for job in await made(timed)] == [handle.id]


async def test_only_what_this_app_has_can_be_run_by_hand(timed: App[None], clock: FakeClock) -> None:
    await ticker(with_schedule(beside(timed, clock), each_minute)).tick()
    with pytest.raises(NotScheduledHere, match="run it where that app is"):
        await timed.run_cron("light")
    with pytest.raises(UnknownSchedule, match="list schedules to find their names"):
        await timed.run_cron("nothing")
    with pytest.raises(UnknownSchedule):
        await timed.crons.pause("nothing")
