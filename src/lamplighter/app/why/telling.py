"""Figures as sentences say them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from lamplighter.core.duration import rough_duration

MOST_NAMED = 5


def rough(seconds: float) -> str:
    """How long: 90s, 5m."""
    return rough_duration(timedelta(seconds=seconds))


def times(number: int) -> str:
    """How often."""
    return "once" if number == 1 else f"{number:,} times"


def named(names: Sequence[str]) -> str:
    """Names, but not a screen full of them."""
    told = ", ".join(names[:MOST_NAMED])
    return f"{told} and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else told
