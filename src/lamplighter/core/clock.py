"""Time as the engine passes it about: aware datetimes in UTC outside, microseconds since 1970 inside stores."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def utcnow() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970. Exact, unlike a float of seconds."""
    return (moment - EPOCH) // MICROSECOND


def from_us(us: int) -> datetime:
    """The moment that `to_us` turned into a number."""
    return EPOCH + timedelta(microseconds=us)


def maybe_to_us(moment: datetime | None) -> int | None:
    """`to_us`, for a column that may be empty."""
    return None if moment is None else to_us(moment)


def maybe_from_us(us: int | None) -> datetime | None:
    """`from_us`, for a column that may be empty."""
    return None if us is None else from_us(us)
