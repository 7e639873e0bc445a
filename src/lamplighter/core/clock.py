"""Time as the engine passes it about: aware datetimes in UTC outside, microseconds since 1970 inside stores."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EXACT = 0.005  # seconds: how well two clocks need to agree


def utcnow() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class WallClock:
    """The wall clock of this machine, until it is set by one that others go by too.

    From then on it goes on from that moment by the time that passed here, so that no jump of this machine's clock is
    seen. `read`: in tests, a wall clock that is wrong.
    """

    def __init__(self, read: Clock = utcnow, passed: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._passed = passed
        self._set: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        if self._set is None:
            return self._read()
        moment, at = self._set
        return moment + timedelta(seconds=self._passed() - at)

    def stopwatch(self) -> float:
        """Seconds since some moment: what passes here, whatever the wall clock says."""
        return self._passed()

    def set_by(self, moment: datetime, *, asked: float, answered: float) -> timedelta:
        """Go by a clock that showed `moment` at some time between two moments of the stopwatch; returns by how much
        this one was ahead of it. What may be due to the way there and back is no difference."""
        halfway = (asked + answered) / 2
        ahead = self() - timedelta(seconds=self._passed() - halfway) - moment
        if self._set is None or abs(ahead).total_seconds() > (answered - asked) / 2 + EXACT:
            self._set = moment, halfway
        return ahead


def to_us(moment: datetime) -> int:
    """Microseconds since 1970. Exact, unlike a float of seconds."""
    return (moment - EPOCH) // MICROSECOND


def maybe_length(duration: timedelta | None) -> int | None:
    """Its microseconds, for a column that may be empty."""
    return None if duration is None else duration // MICROSECOND


def from_us(us: int) -> datetime:
    """The moment that `to_us` turned into a number."""
    return EPOCH + timedelta(microseconds=us)


def maybe_to_us(moment: datetime | None) -> int | None:
    """`to_us`, for a column that may be empty."""
    return None if moment is None else to_us(moment)


def maybe_from_us(us: int | None) -> datetime | None:
    """`from_us`, for a column that may be empty."""
    return None if us is None else from_us(us)
