"""The hours in which databases are kept up: on the wall clock of a zone, on some days, also past midnight."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, get_args
from zoneinfo import ZoneInfo

from lamplighter.core.config import Day, Settings

DAYS = get_args(Day)


class Night(NamedTuple):
    """One time that the window is open, in UTC."""

    begins: datetime
    ends: datetime


class Window(NamedTuple):
    """When it opens and closes, and on which days (0: Monday) it opens."""

    begins: time
    ends: time
    days: frozenset[int]
    zone: ZoneInfo

    def night(self, now: datetime) -> Night | None:
        """The one that is open now."""
        return next((one for one in self._nights(now, range(-1, 1)) if one.begins <= now < one.ends), None)

    def next(self, now: datetime) -> Night | None:
        """The next one to open. None: none does within two weeks, so none does."""
        return next((one for one in self._nights(now, range(15)) if one.begins > now), None)

    def _nights(self, now: datetime, days: range) -> Iterator[Night]:
        today = now.astimezone(self.zone).date()
        for day in (today + timedelta(days=number) for number in days):
            if day.weekday() in self.days:
                closes = day if self.ends > self.begins else day + timedelta(days=1)
                night = Night(self._moment(day, self.begins), self._moment(closes, self.ends))
                if night.begins < night.ends:  # one within the hour that spring leaves out has no time at all
                    yield night

    def _moment(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self.zone).astimezone(UTC)


def window_of(settings: Settings) -> Window | None:
    """The one that the settings say, if they do."""
    if settings.upkeep_window is None:
        return None
    begins, _, ends = settings.upkeep_window.partition("-")
    days = frozenset(DAYS.index(day) for day in settings.upkeep_days)
    return Window(time.fromisoformat(begins), time.fromisoformat(ends), days, ZoneInfo(settings.upkeep_tz))
