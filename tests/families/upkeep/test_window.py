"""The window: open in its hours, on its days, on the wall clock of its zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.config import Settings, load
from lamplighter.core.errors import ConfigError
from lamplighter.families.upkeep.window import DAYS, Window, window_of

CLOCKS = st.times().map(lambda one: f"{one:%H:%M}")


def window(hours: str, *, days: tuple[str, ...] = DAYS, tz: str = "UTC") -> Window:
    found = window_of(Settings(upkeep_window=hours, upkeep_days=days, upkeep_tz=tz))
    assert found is not None
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_hours_there_is_no_window() -> None:
    assert window_of(Settings()) is None


def test_it_is_open_from_its_first_minute_to_before_its_last() -> None:
    night = window("02:00-05:00").night(at("2026-11-26 02:00"))
    assert night == (at("2026-11-26 02:00"), at("2026-11-26 05:00"))
    assert window("02:00-05:00").night(at("2026-11-26 05:00")) is None
    assert window("02:00-05:00").night(at("2026-11-26 01:59")) is None


def test_past_midnight_it_belongs_to_the_day_that_it_opens_on() -> None:
    fridays = window("23:00-01:30", days=("fri",))
    assert fridays.night(at("2026-11-28 01:00")) == (at("2026-11-27 23:00"), at("2026-11-28 01:30"))
    assert fridays.night(at("2026-11-27 01:00")) is None
    assert fridays.next(at("2026-11-28 01:00")) == (at("2026-12-04 23:00"), at("2026-12-05 01:30"))


def test_it_goes_by_the_wall_clock_of_its_zone() -> None:
    berlin = window("02:00-05:00", tz="Europe/Berlin")
    assert berlin.night(at("2026-07-01 00:30")) == (at("2026-07-01 00:00"), at("2026-07-01 03:00"))
    assert berlin.night(at("2026-11-26 00:30")) is None


def test_what_spring_leaves_out_is_no_window() -> None:
    lost = window("02:00-03:00", tz="Europe/Berlin")
    assert lost.night(at("2026-03-29 01:00")) is None
    assert lost.next(at("2026-03-28 12:00")) == (at("2026-03-30 00:00"), at("2026-03-30 01:00"))


@given(
    begins=CLOCKS,
    ends=CLOCKS,
    days=st.sets(st.sampled_from(DAYS), min_size=1),
    tz=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    hour=st.integers(0, 24 * 365 * 15),
)
def test_the_next_one_opens_when_it_says_and_the_one_that_is_open_holds_now(
    begins: str, ends: str, days: set[str], tz: str, hour: int
) -> None:
    now = at("2020-01-01") + timedelta(hours=hour)
    if begins == ends:
        return
    one = window(f"{begins}-{ends}", days=tuple(days), tz=tz)
    if (night := one.night(now)) is not None:
        assert night.begins <= now < night.ends <= night.begins + timedelta(hours=25)
    following = one.next(now)
    if following is not None:
        assert following.begins > now
        assert one.night(following.begins) is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [("window", "2-5"), ("window", "02:00-02:00"), ("window", "24:00-01:00"), ("tz", "Mars/Base"), ("days", "someday")],
)
def test_hours_that_cannot_be_are_refused_in_one_sentence(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"upkeep_{key} is .*: give "):
        load(environ={f"LAMPLIGHTER_UPKEEP_{key.upper()}": value})
