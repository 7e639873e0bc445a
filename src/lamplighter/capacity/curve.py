"""How a load goes over time: a few figures of each minute."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

MINUTE = 60


class Curve:
    """Refreshes of each minute, those of its busiest second, and how late the latest of them was (seconds)."""

    def __init__(self) -> None:
        self.per_minute = array("d")
        self.peak_per_s = array("d")
        self.latest = array("d")
        self._sum = self._peak = 0.0
        self._late = 0

    def add(self, amount: float, late: int) -> None:
        """What one second had."""
        self._sum += amount
        self._peak = max(self._peak, amount)
        self._late = max(self._late, late)

    @property
    def busiest(self) -> int:
        """The first minute whose busiest second is that of all, but for rounding."""
        most = max(self.peak_per_s) * 0.999
        return next(minute for minute, peak in enumerate(self.peak_per_s) if peak >= most)

    def end_minute(self) -> None:
        """The seconds to come belong to the next."""
        self.per_minute.append(self._sum)
        self.peak_per_s.append(self._peak)
        self.latest.append(self._late)
        self._sum = self._peak = 0.0
        self._late = 0


def columns(minutes: Sequence[float], most: int) -> list[float]:
    """The greatest of each of at most so many stretches of the same length."""
    length = -(-len(minutes) // most)
    return [max(minutes[at : at + length]) for at in range(0, len(minutes), length)]
