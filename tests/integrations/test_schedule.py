"""When tokens are refreshed and how long outages are waited out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lamplighter.integrations.refreshing.schedule import outage_delay, pause_limit, refresh_at

ISSUED = datetime(2026, 1, 1, tzinfo=UTC)
DICE = st.floats(0, 1, exclude_max=True)
LIVES = st.timedeltas(timedelta(), timedelta(days=366))


def seconds_early(life: float, roll: float) -> float:
    expires_at = ISSUED + timedelta(seconds=life)
    return (expires_at - refresh_at(ISSUED, expires_at, random=lambda: roll)).total_seconds()


def test_an_hour_is_refreshed_five_and_a_half_to_six_and_a_half_minutes_early() -> None:
    assert seconds_early(3600, 0) == 330
    assert seconds_early(3600, 0.5) == 360


def test_a_short_life_is_refreshed_around_its_middle() -> None:
    assert seconds_early(20, 0) == 11
    assert seconds_early(20, 0.5) == 12


@given(LIVES, DICE)
def test_a_refresh_comes_after_a_quarter_of_the_life_and_before_its_end(life: timedelta, roll: float) -> None:
    due = refresh_at(ISSUED, ISSUED + life, random=lambda: roll)
    assert ISSUED + life / 4 <= due <= ISSUED + life


@given(LIVES, DICE)
def test_jitter_only_makes_a_refresh_earlier(life: timedelta, roll: float) -> None:
    expires_at = ISSUED + life
    unjittered = refresh_at(ISSUED, expires_at, random=lambda: 0)
    assert timedelta() <= unjittered - refresh_at(ISSUED, expires_at, random=lambda: roll) <= timedelta(minutes=1)


def test_a_token_that_is_already_over_is_due_at_its_end() -> None:
    over = ISSUED - timedelta(hours=1)
    assert refresh_at(ISSUED, over, random=lambda: 0.9) == over


def test_pauses_double_from_one_second_to_five_minutes() -> None:
    assert [pause_limit(failures).total_seconds() for failures in (1, 2, 3, 9, 10)] == [1, 2, 4, 256, 300]


@given(st.integers(0, 10**9), st.none() | st.timedeltas(timedelta(), timedelta(hours=1)), DICE)
def test_an_outage_is_waited_out_at_least_as_long_as_told(
    failures: int, retry_after: timedelta | None, roll: float
) -> None:
    delay = outage_delay(failures, retry_after, random=lambda: roll)
    asked = retry_after or timedelta()
    assert asked <= delay <= asked + pause_limit(failures)


def test_those_who_were_told_the_same_moment_come_back_at_different_ones() -> None:
    asked = timedelta(seconds=60)
    assert outage_delay(1, asked, random=lambda: 0.1) != outage_delay(1, asked, random=lambda: 0.9)
