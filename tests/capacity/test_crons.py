"""What schedules make, and which come together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lamplighter import App, Ctx
from lamplighter.capacity.crons import Slots, count_slots

MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)


def app() -> App[None]:
    made = App("memory://")

    @made.job(queue="slow")
    async def work(ctx: Ctx[None]) -> None:
        raise AssertionError("a simulation runs no job")

    made.cron("0 3 * * *", work.draft(), name="nightly")
    made.cron("0 3 * * 1", work.draft(), name="weekly", tz="Europe/Berlin")
    made.cron("0 2 * * *", work.draft(), name="in Berlin at two", tz="Europe/Berlin")
    made.every(timedelta(seconds=15), work.draft(), name="often")
    return made


def counted(start: datetime, duration: timedelta) -> Slots:
    return count_slots(app().schedules, start, duration)


def test_each_schedule_is_counted_by_its_own_slots() -> None:
    slots = counted(MIDNIGHT, timedelta(days=28))
    assert {one.schedule: one.jobs for one in slots.made} == {
        "nightly": 28,
        "weekly": 4,
        "in Berlin at two": 28,
        "often": 28 * 5760,
    }
    assert {one.schedule: one.most_in_a_minute for one in slots.made}["often"] == 4
    assert {one.queue for one in slots.made} == {"slow"}
    assert sum(slots.per_hour) == slots.jobs
    assert len(slots.per_hour) == 28 * 24


def test_the_first_moment_counts_and_the_last_does_not() -> None:
    slots = counted(MIDNIGHT + timedelta(hours=3), timedelta(days=1))
    assert {one.schedule: one.jobs for one in slots.made}["nightly"] == 1
    assert slots.per_hour[0] == 240 + 1


def test_schedules_that_come_in_the_same_minute_are_told_the_largest_crowd_first() -> None:
    slots = counted(MIDNIGHT, timedelta(days=14))
    told = [(pile.schedules, pile.jobs, pile.times, pile.first) for pile in slots.piles]
    assert told == [
        (("in Berlin at two", "often"), 5, 14, MIDNIGHT + timedelta(hours=1)),
        (("nightly", "often"), 5, 14, MIDNIGHT + timedelta(hours=3)),
        (("often", "weekly"), 5, 2, datetime(2030, 1, 7, 2, tzinfo=UTC)),
    ]


def test_summer_time_moves_a_schedule_of_that_zone() -> None:
    before, after = datetime(2030, 3, 30, tzinfo=UTC), datetime(2030, 4, 1, tzinfo=UTC)
    hours = [counted(day, timedelta(days=1)).piles[0].first.hour for day in (before, after)]
    assert hours == [1, 0]


def test_an_app_without_schedules_makes_nothing() -> None:
    slots = count_slots((), MIDNIGHT, timedelta(hours=2))
    assert (slots.made, slots.piles, slots.per_hour, slots.jobs) == ((), (), (0, 0), 0)
