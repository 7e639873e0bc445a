"""When a token is refreshed, and how long an outage is waited out. Pure: the caller brings the time and the dice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

Dice = Callable[[], float]  # a number in [0, 1), such as random.random

LONGEST_LEAD = timedelta(minutes=5)
LONGEST_SKEW = timedelta(seconds=30)
LONGEST_JITTER = timedelta(minutes=1)
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)


def refresh_at(issued_at: datetime, expires_at: datetime, *, random: Dice) -> datetime:
    """When to refresh a token that lives from `issued_at` to `expires_at`.

    Early by a lead (a refresh may need several tries), by a skew (the provider's clock may run ahead of ours) and by
    a jitter (tokens issued together must not come due together). Each is a share of a short life: together at most
    65 % of it, so a token is used for at least a quarter of its life. A life that is over is due at its end.
    """
    life = max(expires_at - issued_at, timedelta())
    lead = min(LONGEST_LEAD, life / 2)
    skew = min(LONGEST_SKEW, life / 20)
    jitter = random() * min(LONGEST_JITTER, life / 10)
    return expires_at - lead - skew - jitter


def pause_limit(failures: int) -> timedelta:
    """The longest pause after so many failures in a row: 1 s, doubled each time, up to 5 minutes."""
    doublings = min(max(failures - 1, 0), 16)  # bounded, for 1 << 1_000_000 takes its time
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)


def outage_delay(failures: int, retry_after: timedelta | None = None, *, random: Dice) -> timedelta:
    """How long to wait after the `failures`th outage in a row: full jitter (Brooker, AWS Architecture Blog, 2015).

    The jitter comes on top of Retry-After: all who were told the same moment must not come back at the same moment.
    """
    return (retry_after or timedelta()) + random() * pause_limit(failures)
