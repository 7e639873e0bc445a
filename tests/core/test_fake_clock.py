"""The clock for tests stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from lamplighter.testing import FakeClock


def test_it_moves_only_when_told() -> None:
    clock = FakeClock(datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock() == clock() == datetime(2030, 1, 1, tzinfo=UTC)
    assert clock().tzinfo is UTC
    assert clock.advance(90) == clock() == datetime(2030, 1, 1, 0, 1, 30, tzinfo=UTC)
    clock.advance(timedelta(days=-1))
    assert repr(clock) == "FakeClock(2029-12-31T00:01:30+00:00)"


def test_a_start_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="give an aware datetime"):
        FakeClock(datetime(2030, 1, 1))  # noqa: DTZ001
