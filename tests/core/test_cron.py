"""Schedules: wall clocks that jump, expressions that cannot be read, slots that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.cron import MOST_CAUGHT_UP, Cron, Every, Misfire, read_schedule, slots_after, slots_to_fire
from lamplighter.core.errors import BadCron

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=60)
MINUTELY = Every(timedelta(minutes=1))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots(cron: Cron, after: str, n: int) -> list[datetime]:
    found = [cron.after(at(after))]
    while len(found) < n:
        found.append(cron.after(found[-1]))
    return found


def test_a_time_that_the_spring_gap_skips_fires_right_after_it() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")  # on 31 March 2030 clocks go from 02:00 to 03:00, which is 01:00 UTC
    assert slots(cron, "2030-03-30T12:00", 2) == [at("2030-03-31T01:00"), at("2030-04-01T00:30")]


def test_a_time_that_autumn_repeats_fires_once() -> None:
    cron = Cron("30 2 * * *", "Europe/Berlin")  # on 27 October 2030 clocks go from 03:00 back to 02:00
    first, second = slots(cron, "2030-10-26T12:00", 2)
    assert first in {at("2030-10-27T00:30"), at("2030-10-27T01:30")}
    assert second == at("2030-10-28T01:30")


def test_a_wall_clock_time_keeps_its_hour_through_the_year() -> None:
    cron = Cron("0 3 * * *", "Europe/Berlin")
    assert cron.after(at("2030-01-10T12:00")) == at("2030-01-11T02:00")
    assert cron.after(at("2030-07-10T12:00")) == at("2030-07-11T01:00")


def test_a_slot_is_later_than_its_moment() -> None:
    assert Cron("0 12 * * *").after(NOON) == NOON + timedelta(days=1)
    assert MINUTELY.after(NOON) == NOON + timedelta(minutes=1)


@pytest.mark.parametrize("text", ["", "* * * *", "61 * * * *", "* * 30 2 *", "often", "*/0 * * * *", "* * * * mo-xx"])
def test_an_expression_that_cannot_come_true_is_refused_at_once(text: str) -> None:
    with pytest.raises(BadCron, match="write five fields"):
        Cron(text)


@pytest.mark.parametrize("zone", ["Europe/Berlim", "", "../etc/passwd", "a\0b"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(BadCron, match="write an IANA name"):
        Cron("* * * * *", zone)


def test_an_interval_below_a_second_is_refused() -> None:
    with pytest.raises(BadCron, match="one second or more"):
        Every(timedelta(milliseconds=999))


@given(st.integers(1, 10**6), st.integers(0, 10**10))
def test_every_scheduler_finds_the_same_slots_of_an_interval(seconds: int, moment: int) -> None:
    every, start = Every(timedelta(seconds=seconds)), datetime(1970, 1, 1, tzinfo=UTC)
    now = start + timedelta(seconds=moment)
    slot = every.after(now)
    assert now < slot <= now + every.interval
    assert (slot - start) % every.interval == timedelta(0)


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_a_slot_on_time_fires_once_whatever_the_policy(misfire: Misfire) -> None:
    assert slots_to_fire(MINUTELY, NOON - timedelta(seconds=30), NOON, misfire, GRACE) == [NOON]
    assert slots_to_fire(MINUTELY, NOON, NOON + timedelta(seconds=59), misfire, GRACE) == []


@pytest.mark.parametrize(("misfire", "minutes"), [("skip", []), ("once", [55]), ("all", [50, 55])])
def test_missed_slots_follow_the_policy(misfire: Misfire, minutes: list[int]) -> None:
    every = Every(timedelta(minutes=5))
    now = at("2030-06-01T11:58")
    found = slots_to_fire(every, at("2030-06-01T11:46"), now, misfire, GRACE)
    assert [slot.minute for slot in found] == minutes


def test_catching_up_on_all_is_bounded_to_the_newest() -> None:
    found = slots_to_fire(MINUTELY, NOON - timedelta(days=30), NOON, "all", GRACE)
    assert len(found) == MOST_CAUGHT_UP
    assert found[-1] == NOON


class Counted(Every):
    calls = 0

    def after(self, moment: datetime) -> datetime:
        self.calls += 1
        return super().after(moment)


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_years_of_downtime_cost_no_more_than_hours(misfire: Misfire) -> None:
    counted = Counted(timedelta(seconds=1))
    found = slots_to_fire(counted, NOON - timedelta(days=3650), NOON, misfire, GRACE)
    assert found[-1] == NOON
    assert counted.calls < 10 * MOST_CAUGHT_UP


@given(st.integers(1, 7200), st.integers(0, 200_000), st.sampled_from(["skip", "once", "all"]))
def test_slots_lie_between_last_and_now_in_order_without_repeats(seconds: int, away: int, misfire: Misfire) -> None:
    last = NOON - timedelta(seconds=min(away, seconds * 2000))
    found = slots_to_fire(Every(timedelta(seconds=seconds)), last, NOON, misfire, GRACE)
    assert found == sorted(set(found))
    assert all(last < slot <= NOON for slot in found)


@given(st.integers(1_000_000, 10**14))
def test_an_interval_is_read_back_from_its_text(microseconds: int) -> None:
    every = Every(timedelta(microseconds=microseconds))
    read = read_schedule(every.text)
    assert isinstance(read, Every)
    assert read.interval == every.interval


def test_a_cron_expression_is_read_back_from_its_text() -> None:
    cron = Cron("30 2 * * 1-5", "Europe/Berlin")
    read = read_schedule(cron.text)
    assert read is not None
    assert read.after(NOON) == cron.after(NOON)


@pytest.mark.parametrize("text", ["", "daily", "every now and then", "61 * * * * UTC", "* * * * * Nowhere/There"])
def test_what_is_no_schedule_of_ours_is_not_read(text: str) -> None:
    assert read_schedule(text) is None


def test_slots_end_where_moments_do() -> None:
    last = datetime(9999, 12, 31, 23, 58, 30, tzinfo=UTC)
    assert list(slots_after(MINUTELY, last)) == [datetime(9999, 12, 31, 23, 59, tzinfo=UTC)]
