from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.duration import format_duration, parse_duration, rough_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604_800),
        ("1.5h", 5400),
        ("30 s", 30),
        ("90", 90),
        (90, 90),
        (0.25, 0.25),
        ("0", 0),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_of_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "s",
        "-5s",
        "5 minutes",
        "5M",
        "1e3",
        "٣s",
        "9" * 14 + "d",
        "9" * 15,
        10**400,
        -1,
        True,
        None,
        [],
        float("nan"),
        float("inf"),
    ],
)
def test_anything_else_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(written)


@given(st.timedeltas(min_value=timedelta(0)))
def test_what_is_written_is_read_back_exactly(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("written", ["0s", "0.5s", "90s", "90m", "36h", "7d"])
def test_a_duration_is_shown_in_its_largest_whole_unit(written: str) -> None:
    assert format_duration(parse_duration(written)) == written


@pytest.mark.parametrize(
    ("seconds", "rough"),
    [(0, "0s"), (0.6, "1s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d"), (1e8, "1157d")],
)
def test_roughly_a_duration_is_a_whole_number_of_two_or_more(seconds: float, rough: str) -> None:
    assert rough_duration(timedelta(seconds=seconds)) == rough
