"""How integrations come in, and when the first refresh of each is due."""

from __future__ import annotations

from lamplighter.capacity.plan import Crowd, Plan
from lamplighter.capacity.window import Window


class First:
    """Amounts of one provider, second by second."""

    def __init__(self, crowd: Crowd, plan: Plan, window: Window) -> None:
        self._all = crowd.integrations
        self._over = max(1.0, plan.connected_over.total_seconds())
        self._tokens = plan.tokens
        self._cycle = round(window.cycle)
        # Of tokens of any age, those that should have been refreshed before they came.
        self._overdue = max(0.0, 1 - window.cycle / crowd.lifetime.total_seconds())
        self.ends = self._over + (self._cycle if plan.tokens == "any-age" else 0)
        """The second from which on nothing comes in any more, and no first refresh of what came in comes due."""

    def issued(self, second: int) -> float:
        """Tokens that are issued as their integrations come."""
        return self._come_at(second) if self._tokens == "new" and second < self.ends else 0.0

    def due(self, second: int) -> float:
        """Refreshes that come due, of integrations that come with tokens issued before."""
        if self._tokens == "new" or second >= self.ends:
            return 0.0
        come = self._come_at(second)
        if self._tokens == "unknown":
            return come
        spread = self._come_until(second) - self._come_until(second - self._cycle)
        return self._overdue * come + (1 - self._overdue) * spread / self._cycle

    def _come_at(self, second: int) -> float:
        return self._come_until(second) - self._come_until(second - 1)

    def _come_until(self, second: int) -> float:
        return self._all * min(1.0, max(0.0, (second + 1) / self._over))
