"""Lengths of time as people write them: 30s, 5m, 2h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_WRITTEN = re.compile(r"([0-9]{1,14}(?:\.[0-9]{1,6})?) ?([smhd]?)")  # bounded: an endless number costs endless time


def parse_duration(written: object) -> timedelta:
    """Read `30s`, `5m`, `2h`, `7d`, `1.5h`, or a plain number of seconds.

    Raises:
        ValueError: it is none of these, negative, or longer than a timedelta can be.
    """
    match = _WRITTEN.fullmatch(f"{written:.6f}" if isinstance(written, float) else str(written))
    if match is None:
        raise ValueError("not a duration such as 30s, 5m, 2h or 7d")
    number, unit = match.groups()
    try:
        return int(Decimal(number) * (_UNITS[unit or "s"] // _MICROSECOND)) * _MICROSECOND
    except OverflowError as error:
        raise ValueError("a duration of more than 999999999 days") from error


def rough_duration(duration: timedelta) -> str:
    """How long, as people want to know it: 90s, 5m, 3h, 2d."""
    seconds = round(duration.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def format_duration(duration: timedelta) -> str:
    """The text that `parse_duration` reads as this duration (0 or more), in the largest unit without a fraction."""
    for letter, unit in _UNITS.items():
        count, rest = divmod(duration, unit)
        if not rest and (count or letter == "s"):
            return f"{count}{letter}"
    seconds, rest = divmod(duration, _UNITS["s"])
    return f"{seconds}.{rest // _MICROSECOND:06d}".rstrip("0") + "s"
