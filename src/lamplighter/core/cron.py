"""When a schedule fires: cron expressions in an IANA zone, or fixed intervals in UTC.

Wall-clock rules are those of Debian's cron, as cronsim implements them: a time that the spring gap skips fires
right after the gap, a time that autumn repeats fires once.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from lamplighter.core.clock import EPOCH
from lamplighter.core.errors import BadCron

Misfire = Literal["skip", "once", "all"]  # what to do about slots missed while no scheduler ran

_EVERY = re.compile(r"every (?:(?P<days>\d+) days?, )?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?)")

MOST_CAUGHT_UP = 1000  # a schedule that was down for a year must not flood its queue in one go


class Schedule(Protocol):
    """A source of moments."""

    @property
    def text(self) -> str:
        """How people read it."""

    def after(self, moment: datetime) -> datetime:
        """The first slot later than `moment`, in UTC."""


class Cron:
    """A five-field cron expression on the wall clock of a zone."""

    def __init__(self, expression: str, tz: str = "UTC") -> None:
        self.expression = expression
        self.tz = tz
        self._zone = _zone(tz)
        self.after(EPOCH)  # an expression that can never fire is refused here, not at night

    @property
    def text(self) -> str:
        return f"{self.expression} {self.tz}"

    def after(self, moment: datetime) -> datetime:
        try:
            return next(CronSim(self.expression, moment.astimezone(self._zone))).astimezone(UTC)
        except (CronSimError, StopIteration) as error:
            raise BadCron(
                f"cannot read the cron expression {self.expression!r}: write five fields that can come true, "
                "minute hour day month weekday, such as '0 3 * * *' for 03:00 every day."
            ) from error


class Every:
    """A fixed interval, counted in UTC from 1970: every scheduler finds the same slots."""

    def __init__(self, interval: timedelta) -> None:
        if interval < timedelta(seconds=1):
            raise BadCron(f"an interval of {interval} is too short to schedule: give one second or more.")
        self.interval = interval

    @property
    def text(self) -> str:
        return f"every {self.interval}"

    def after(self, moment: datetime) -> datetime:
        return EPOCH + ((moment - EPOCH) // self.interval + 1) * self.interval


def read_schedule(text: str) -> Schedule | None:
    """The schedule that is read so; None where it is none of ours, or of a zone that is not known here."""
    interval = _EVERY.fullmatch(text)
    try:
        if interval is not None:
            return Every(timedelta(**{unit: float(count) for unit, count in interval.groupdict("0").items()}))
        expression, _, zone = text.rpartition(" ")
        return Cron(expression, zone)
    except (BadCron, OverflowError):
        return None


def slots_after(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    """All that come, as far as there are moments."""
    with suppress(OverflowError):
        while True:
            moment = schedule.after(moment)
            yield moment


def slots_to_fire(
    schedule: Schedule, last: datetime, now: datetime, misfire: Misfire, grace: timedelta
) -> list[datetime]:
    """The slots in (last, now] that should still become jobs.

    A slot is missed when it is older than `grace`. `skip` drops missed slots, `once` makes one job for the newest of
    them, `all` makes one each (the newest `MOST_CAUGHT_UP`).
    """
    fresh = list(_between(schedule, max(last, now - grace), now))
    if misfire == "skip" or (misfire == "once" and fresh):
        return fresh
    return _newest(schedule, last, now, 1 if misfire == "once" else MOST_CAUGHT_UP)


def _newest(schedule: Schedule, last: datetime, now: datetime, most: int) -> list[datetime]:
    """The newest slots in (last, now], found from now backwards: years of downtime must not stall a scheduler."""
    reach = timedelta(minutes=2)
    while True:
        start = now - min(reach, now - last)
        slots = deque(_between(schedule, start, now), maxlen=most)
        if len(slots) == most or start == last:
            return list(slots)
        reach *= 2


def _between(schedule: Schedule, last: datetime, now: datetime) -> Iterator[datetime]:
    slot = schedule.after(last)
    while slot <= now:
        yield slot
        slot = schedule.after(slot)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise BadCron(
            f"there is no time zone {name!r}: write an IANA name such as 'Europe/Berlin' or 'UTC'."
        ) from error
