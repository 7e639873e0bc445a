"""All who use a store go by its clock: one whose own is an hour ahead would take every lease for long over."""

from __future__ import annotations

import logging
from datetime import timedelta

from lamplighter.core.clock import Clock, WallClock
from lamplighter.core.duration import format_duration
from lamplighter.store.base import Store

WORTH_TELLING = timedelta(seconds=5)

_log = logging.getLogger("lamplighter.worker")


async def keep_time(clock: Clock, store: Store) -> None:
    """Set a wall clock by the store's, if that has one. A clock of tests goes as it is told.

    Raises:
        StoreUnavailable: the store cannot be reached.
    """
    if not isinstance(clock, WallClock):
        return
    asked = clock.stopwatch()
    moment = await store.time()
    if moment is None:
        return
    ahead = clock.set_by(moment, asked=asked, answered=clock.stopwatch())
    if abs(ahead) > WORTH_TELLING:
        way = "ahead of" if ahead > timedelta() else "behind"
        _log.warning(
            "This machine's clock is %s %s the store's: the store's is gone by. Set it right, for example by NTP.",
            format_duration(timedelta(seconds=round(abs(ahead).total_seconds()))),
            way,
        )
