"""How long after a token is issued its refresh is due, asked of the schedule that tells it in earnest."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple, Self

from lamplighter.core.clock import EPOCH
from lamplighter.integrations.refreshing.schedule import refresh_at

ALMOST_ONE = 1 - 2**-53
SECOND = timedelta(seconds=1)


class Window(NamedTuple):
    """Seconds: a refresh is due from `opens` to before `closes`, at each of them as likely. `slack`: how late it may
    begin before the token is over."""

    opens: int
    closes: int
    slack: int

    @classmethod
    def of(cls, lifetime: timedelta, *, jitter: bool = True) -> Self:
        """Of tokens that live so long. The schedule is linear in its dice, so two throws tell all of it."""
        latest = refresh_at(EPOCH, EPOCH + lifetime, random=lambda: 0.0)
        earliest = refresh_at(EPOCH, EPOCH + lifetime, random=lambda: ALMOST_ONE if jitter else 0.0)
        closes = (latest - EPOCH) // SECOND
        opens = (earliest - EPOCH) // SECOND
        return cls(min(opens, closes - 1), closes, (EPOCH + lifetime - latest) // SECOND)

    @property
    def width(self) -> int:
        """Over how many seconds tokens of one moment come due."""
        return self.closes - self.opens

    @property
    def cycle(self) -> float:
        """Seconds from one refresh to the next, on average."""
        return (self.opens + self.closes) / 2
