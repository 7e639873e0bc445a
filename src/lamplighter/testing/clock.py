"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)


class FakeClock:
    """Give it to an app as `clock=`: schedules, delays, retries and leases then go by it.

    Raises:
        ValueError: `start` has no time zone.
    """

    def __init__(self, start: datetime = NEW_YEAR) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start={start.isoformat()} has no time zone: give an aware datetime.")
        self._now = start.astimezone(UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float | timedelta) -> datetime:
        """Move on by so many seconds (or back, if negative); returns the new time."""
        self._now += seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        return self._now

    def __repr__(self) -> str:
        return f"FakeClock({self._now.isoformat()})"
