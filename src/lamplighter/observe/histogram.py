"""How often something took how long, in buckets that are the same everywhere, so that any two histograms add up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

BOUNDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0),
)
"""Seconds: the highest of each bucket. One more takes what is longer still."""

Counts = Mapping[int, int]  # by the number of the bucket; those without any are left out


class Histogram:
    """Counts what it is told, for as long as the process lives."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """It took so long. Clocks that were set back make nothing take less than no time."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        if seconds > 0:  # `max` would be a third of what this costs
            self.sum += seconds

    def copy(self) -> Histogram:
        """The same, which counts no further."""
        other = Histogram()
        other.counts, other.sum = list(self.counts), self.sum
        return other


def quantile(counts: Counts, share: float) -> float | None:
    """Within how many seconds that share of all was over, as Prometheus reckons it: evenly spread within each bucket.

    None of nothing; what took longer than the last bound counts as that.
    """
    rank = share * sum(counts.values())
    if not rank:
        return None
    for bucket in sorted(counts):
        if rank <= counts[bucket]:
            low, high = (BOUNDS[bucket - 1] if bucket else 0.0), BOUNDS[min(bucket, len(BOUNDS) - 1)]
            return low + (high - low) * rank / counts[bucket]
        rank -= counts[bucket]
    return BOUNDS[-1]
