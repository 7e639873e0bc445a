"""Windows of time: hours, days and months as a tenant's clock shows them, cut in UTC. Pure.

A window begins where the one before it ended, and its end is not in it. A day lasts from one midnight of the tenant to
the next, so days of 23 or 25 hours are just that; an hour lasts until the clock shows the next one or is set, so that
where it is set by half an hour, one of that day lasts half an hour.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from lamplighter.core.clock import MICROSECOND, from_us, to_us

Resolution = Literal["hour", "day", "month"]
RESOLUTIONS: tuple[Resolution, ...] = ("hour", "day", "month")
EVER = -(10**17)
MINUTE = 60_000_000  # microseconds: no clock is set in the middle of one


class Window(NamedTuple):
    """From `begins_at` to before `ends_at`, in microseconds since 1970."""

    begins_at: int
    ends_at: int


class Zoned(NamedTuple):
    """A time zone, and since when a tenant's windows are cut by it."""

    since: int
    zone: str


class Calendar:
    """How the windows of one tenant are cut. Where its zone changed, the windows of the old one end."""

    def __init__(self, zones: Sequence[Zoned] = ()) -> None:
        self._zones = [Zoned(EVER, "UTC"), *sorted(zones)]
        self._since = [one.since for one in self._zones]
        self._known: dict[tuple[Resolution, int], Window] = {}

    def window(self, resolution: Resolution, at: int) -> Window:
        """The one that this moment is in."""
        minute = resolution, at // MINUTE
        if minute not in self._known:
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[minute] = self._find(resolution, at)
        return self._known[minute]

    def windows(self, resolution: Resolution, since: int, until: int) -> Iterator[Window]:
        """All that have a moment in this time, in order."""
        at = since
        while at < until:
            window = self._find(resolution, at)
            yield window
            at = window.ends_at

    def zone_at(self, at: int) -> str:
        """The time zone of a moment."""
        return self._zones[bisect_right(self._since, at) - 1].zone

    def _find(self, resolution: Resolution, at: int) -> Window:
        number = bisect_right(self._since, at) - 1
        begins, ends = _whole(resolution, self._zones[number].zone, at)
        later = self._since[number + 1] if number + 1 < len(self._since) else ends
        return Window(max(begins, self._since[number]), min(ends, later))


def midnight_after(at: int, zone: str) -> int:
    """The first midnight that is not before this moment."""
    begins, ends = _whole("day", zone, at)
    return at if begins == at else ends


def _whole(resolution: Resolution, zone: str, at: int) -> Window:
    if resolution == "month":
        return _month(zone, at)
    day = _day(zone, at)
    if resolution == "day":
        return day
    cuts = _hours(zone, day)
    number = bisect_right(cuts, at)
    return Window(cuts[number - 1], cuts[number])


def _day(zone: str, at: int) -> Window:
    """A clock that is set back over midnight shows the day before twice: its days still begin once."""
    shown = from_us(at).astimezone(ZoneInfo(zone)).date()
    for day in (shown, shown + timedelta(days=1), shown - timedelta(days=1)):
        window = Window(_midnight(zone, day), _midnight(zone, day + timedelta(days=1)))
        if window.begins_at <= at < window.ends_at:
            return window
    raise AssertionError("a clock is set by less than a day")


def _month(zone: str, at: int) -> Window:
    day = from_us(_day(zone, at).begins_at).astimezone(ZoneInfo(zone)).date()
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Window(_midnight(zone, first), _midnight(zone, following))


@lru_cache(maxsize=4096)
def _midnight(zone: str, day: date) -> int:
    """Where the clock never shows it, the moment at which it is set over it."""
    return to_us(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC))


@lru_cache(maxsize=4096)
def _hours(zone: str, day: Window) -> list[int]:
    """Where the hours of a day begin, and where it ends."""
    tz, cuts = ZoneInfo(zone), [day.begins_at]
    while cuts[-1] < day.ends_at:
        cuts.append(min(_next_hour(tz, cuts[-1]), day.ends_at))
    return cuts


def _next_hour(tz: tzinfo, begins_at: int) -> int:
    shown = from_us(begins_at).astimezone(tz)
    left = timedelta(hours=1) - timedelta(minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond)
    ends_at = begins_at + left // MICROSECOND
    was = shown.utcoffset()
    if from_us(ends_at - 1).astimezone(tz).utcoffset() == was:
        return ends_at
    low, high = begins_at, ends_at - 1  # the clock is set within this hour
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if from_us(middle).astimezone(tz).utcoffset() == was else (low, middle)
    return high
