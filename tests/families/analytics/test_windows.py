"""Windows are cut as a clock on the tenant's wall shows them, whatever is done to that clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamplighter.core.clock import from_us, to_us
from lamplighter.families.analytics.windows import RESOLUTIONS, Calendar, Resolution, Zoned

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/Santiago",
    "America/St_Johns",
    "Pacific/Apia",
)
HOUR = 3_600_000_000
MINUTE = 60_000_000
moments = st.integers(1_262_304_000 // 60, 2_051_222_400 // 60).map(lambda minute: minute * MINUTE)  # 2010 to 2034
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def calendar(zone: str) -> Calendar:
    return Calendar([Zoned(0, zone)])


def hours_of(zone: str, date: str) -> list[float]:
    """How long each hour of a day lasts, in hours."""
    noon = to_us(datetime.fromisoformat(f"{date}T12:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC))
    day = calendar(zone).window("day", noon)
    return [(one.ends_at - one.begins_at) / HOUR for one in calendar(zone).windows("hour", *day)]


@pytest.mark.parametrize(
    ("zone", "date", "hours", "odd"),
    [
        ("Europe/Berlin", "2026-03-29", 23, []),
        ("Europe/Berlin", "2026-10-25", 25, []),
        ("America/New_York", "2026-03-08", 23, []),
        ("Africa/Cairo", "2026-04-24", 23, []),  # which has no midnight
        ("Australia/Lord_Howe", "2026-04-05", 24.5, [0.5]),
        ("Australia/Lord_Howe", "2026-10-04", 23.5, [0.5]),
        ("Asia/Kolkata", "2026-03-29", 24, []),
    ],
)
def test_a_day_has_as_many_hours_as_its_clock_shows(zone: str, date: str, hours: float, odd: list[float]) -> None:
    lasting = hours_of(zone, date)
    assert sum(lasting) == hours
    assert [one for one in lasting if one != 1] == odd


@some
@given(moments, st.sampled_from(ZONES), st.sampled_from(RESOLUTIONS))
def test_every_moment_is_in_one_window_that_lies_in_one_of_the_next_resolution(
    at: int, zone: str, resolution: Resolution
) -> None:
    ours = calendar(zone)
    window = ours.window(resolution, at)
    assert window.begins_at <= at < window.ends_at
    assert ours.window(resolution, window.begins_at) == window == ours.window(resolution, window.ends_at - 1)
    assert ours.window(resolution, window.ends_at).begins_at == window.ends_at
    for wider in RESOLUTIONS[RESOLUTIONS.index(resolution) + 1 :]:
        around = ours.window(wider, at)
        assert around.begins_at <= window.begins_at < window.ends_at <= around.ends_at
        shown = from_us(around.begins_at).astimezone(ZoneInfo(zone))
        assert (shown - timedelta(hours=1)).date() < shown.date(), "it begins with a day"


@some
@given(moments, st.integers(0, 40 * 24 * HOUR), st.sampled_from(ZONES), st.sampled_from(RESOLUTIONS))
def test_windows_of_two_zones_meet_where_one_follows_the_other(
    since: int, later: int, zone: str, resolution: Resolution
) -> None:
    ours = Calendar([Zoned(0, "Europe/Berlin"), Zoned(since, zone)])
    before, after = ours.window(resolution, since - 1), ours.window(resolution, since)
    assert before.ends_at == since == after.begins_at
    window = ours.window(resolution, since + later)
    assert since <= window.begins_at <= since + later < window.ends_at
