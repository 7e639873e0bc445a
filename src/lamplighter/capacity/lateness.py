"""How late refreshes begin: amounts by seconds, in little memory."""

from __future__ import annotations

from collections import defaultdict

EXACT = 1000  # seconds up to which each has a place of its own; beyond, three digits of it are kept


class Lateness:
    """Whole seconds, of any number of refreshes."""

    def __init__(self) -> None:
        self.latest = 0
        self._amounts: defaultdict[int, float] = defaultdict(float)

    def add(self, seconds: int, amount: float) -> None:
        """So many were so late."""
        self._amounts[_place(seconds)] += amount
        self.latest = max(self.latest, seconds)

    def percentile(self, percent: float, all_: float) -> int:
        """How late so many of a hundred are at most, of `all_`: those that were not added were not late."""
        seen, wanted = max(0.0, all_ - sum(self._amounts.values())), all_ * percent / 100
        if seen >= wanted:
            return 0
        for seconds, amount in sorted(self._amounts.items()):
            seen += amount
            if seen >= wanted:
                return seconds
        return self.latest  # what rounding left over


def _place(seconds: int) -> int:
    if seconds < EXACT:
        return seconds
    step = int(10 ** (len(str(seconds)) - 3))
    return seconds - seconds % step
