"""A rate limit that gives out appointments: who has to wait is told a moment, and that moment is kept for them.

Without appointments, 100,000 integrations that come due at once would all be told to come back in a moment, and all
but a few be refused again, and again. Pure and for one event loop, like the breaker.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta

from lamplighter.core.clock import EPOCH

SECOND = timedelta(seconds=1)
KEPT = timedelta(minutes=1)  # an appointment that nobody came to, after its moment
CLOCK_SLACK = timedelta(seconds=1)  # a step back by more is a clock that was set back


class Pace:
    """At most `limit` in any second, at most `burst` of them at once: GCRA (ITU-T I.371, virtual scheduling)."""

    def __init__(self, limit: float, burst: int = 1) -> None:
        # What a burst spends at once, the rest of the second goes without. Rounded up: rounding must not add one.
        self._interval = timedelta(microseconds=math.ceil(1_000_000 / (limit - burst + 1)))
        self._window = self._interval * burst
        self._next = EPOCH  # GCRA's theoretical arrival time; beyond the present while there are appointments
        self._appointments: dict[str, datetime] = {}  # in the order of their moments
        self._gone: deque[datetime] = deque(maxlen=math.ceil(limit))  # the last that went
        self._latest = EPOCH

    @property
    def per_second(self) -> float:
        """How many go in a second in the long run, while there are always some that wait."""
        return SECOND / self._interval

    def admit(self, now: datetime) -> timedelta | None:
        """None: go. Otherwise ask again after that long."""
        self._look(now)
        arrival = max(self._next, now)
        conforms_at = arrival + self._interval - self._window
        if conforms_at > now:
            return conforms_at - now
        self._next = arrival + self._interval
        self._gone.append(now)
        return None

    def reserve(self, key: str, now: datetime, *, not_before: datetime = EPOCH) -> timedelta | None:
        """None: go. Otherwise there is now an appointment for `key`: come back after that long, and go.

        Of those who come late, no more go in a second than the limit allows: the others have a new appointment.
        """
        self._look(now)
        moment = self._appointments.get(key)
        if moment is not None and moment > now and moment >= not_before:
            return moment - now  # came early
        came_to_it = self._appointments.pop(key, None) is not None
        if not_before > now:
            return self._appoint(key, now, not_before)
        if not came_to_it:
            return None if self.admit(now) is None else self._appoint(key, now, now)
        if len(self._gone) == self._gone.maxlen and self._gone[0] + SECOND > now:
            return self._appoint(key, now, self._gone[0] + SECOND)
        self._gone.append(now)
        return None

    def _appoint(self, key: str, now: datetime, earliest: datetime) -> timedelta:
        # Without the burst: no two appointments are at the same moment.
        conforms_at = max(self._next + self._interval - self._window, earliest)
        self._next = conforms_at + self._window
        self._appointments[key] = conforms_at
        return conforms_at - now

    def _look(self, now: datetime) -> None:
        if now < self._latest - CLOCK_SLACK:  # what was said about the future would hold for hours
            self._appointments.clear()
            self._gone.clear()
            self._next = now + self._window
        self._latest = now
        while self._appointments:
            first = next(iter(self._appointments))
            if self._appointments[first] > now - KEPT:
                break
            del self._appointments[first]
