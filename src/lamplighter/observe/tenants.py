"""The tenants that have the most done, told apart; all others are one.

Whose numbers were in the sum of the others stays there, so no sum ever falls: who becomes one of the busiest begins at
nothing, and who is none any more is counted among the others from then on.
"""

from __future__ import annotations

from collections import Counter

OTHER = "other"
REVIEWED_EVERY = 10_000  # attempts
MOST_KNOWN = 10_000  # tenants between two reviews


class Tenants:
    """Counts attempts by tenant and how they ended. `most`: how many tenants are told apart."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: dict[str, Counter[str]] = {}
        self.others: Counter[str] = Counter()
        self._recent: Counter[str] = Counter()
        self._left = REVIEWED_EVERY

    def count(self, tenant: str | None, ended: str) -> None:
        """An attempt at a job of a tenant has ended; of none, it is nobody's."""
        if tenant is None:
            return
        if tenant not in self.counts and len(self.counts) < self.most:
            self.counts[tenant] = Counter()
        self.counts.get(tenant, self.others)[ended] += 1
        if tenant in self._recent or len(self._recent) < MOST_KNOWN:
            self._recent[tenant] += 1
        self._left -= 1
        if not self._left:
            self._review()

    def _review(self) -> None:
        """The busiest since the last time are those that are told apart from now on."""
        busiest = [tenant for tenant, _ in self._recent.most_common(self.most)]
        self.counts = {tenant: self.counts.get(tenant) or Counter() for tenant in busiest}
        self._recent.clear()
        self._left = REVIEWED_EVERY
