"""All who use a store go by its clock: one whose own is an hour ahead would take every lease for long over."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from lamplighter.core.clock import Clock, WallClock
from lamplighter.core.duration import format_duration
from lamplighter.store.base import Store

WORTH_TELLING = timedelta(seconds=5)
TRIES, QUICK = 3, 0.2  # seconds for the way there and back

_log = logging.getLogger("lamplighter.worker")


class _Reading(NamedTuple):
    moment: datetime
    asked: float
    answered: float


async def keep_time(clock: Clock, store: Store) -> None:
    """Set a wall clock by the store's, if that has one. A clock of tests goes as it is told.

    Raises:
        StoreUnavailable: the store cannot be reached.
    """
    if not isinstance(clock, WallClock):
        return
    read = await _read(clock, store)
    if read is None:
        return
    ahead = clock.set_by(read.moment, asked=read.asked, answered=read.answered)
    if abs(ahead) > WORTH_TELLING:
        way = "ahead of" if ahead > timedelta() else "behind"
        _log.warning(
            "This machine's clock is %s %s the store's: the store's is gone by. Set it right, for example by NTP.",
            format_duration(timedelta(seconds=round(abs(ahead).total_seconds()))),
            way,
        )


async def now_by(store: Store) -> datetime:
    """What the clock shows that all who use a store go by.

    Raises:
        StoreUnavailable: the store cannot be reached.
    """
    clock = WallClock()
    await keep_time(clock, store)
    return clock()


async def _read(clock: WallClock, store: Store) -> _Reading | None:
    """What the store's clock showed, and when that was: half of the way there and back is how wrong it may be."""
    reading = None
    for _ in range(TRIES):
        asked = clock.stopwatch()
        if (moment := await store.time()) is None:
            return None
        reading = _Reading(moment, asked, clock.stopwatch())
        if reading.answered - asked < QUICK:
            break
    return reading
