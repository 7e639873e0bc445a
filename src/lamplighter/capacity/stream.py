"""The refreshes of one provider, second by second, as amounts: what is expected of very many integrations.

Each refresh makes the next one due within a window (`Window`), every second of it as likely. So what comes due in a
second is a difference of two sums of what was issued before, and a million integrations cost as much as one.
"""

from __future__ import annotations

import math
from array import array
from collections import deque

from lamplighter.capacity.curve import MINUTE, Curve
from lamplighter.capacity.first import First
from lamplighter.capacity.lateness import Lateness
from lamplighter.capacity.plan import Crowd, Plan
from lamplighter.capacity.window import Window
from lamplighter.integrations.refreshing.breaker import pace_of


class Stream:
    """Ask it each second what it wants to do (`want`), then say how much of that there are slots for (`serve`)."""

    def __init__(self, crowd: Crowd, plan: Plan) -> None:
        self.crowd = crowd
        self.window = Window.of(crowd.lifetime, jitter=crowd.jitter)
        self.alone = _one_lets_through(crowd, plan)
        self.together = self.alone * plan.workers
        self.curve = Curve()
        self.lateness = Lateness()
        self.due = 0.0
        self.served = 0.0
        self.too_late = 0.0
        """Of the served, those whose tokens were over by then."""
        self.backlog = 0.0
        self._waiting: deque[tuple[int, float]] = deque()  # when it was due, and how much of it still waits
        self._first = First(crowd, plan, self.window)
        self._issued = 0.0
        # What was issued until the end of each second, as far back as the window reaches; in whole minutes.
        self._size = MINUTE * (2 + min(self.window.closes, plan.minutes * MINUTE) // MINUTE)
        self._sums = array("d", bytes(8 * self._size))

    def is_quiet(self, second: int) -> bool:
        """Whether nothing comes due, and nobody comes in, in the minute that begins now."""
        last = second + MINUTE - 1
        return (
            not self.backlog
            and second >= self._first.ends
            and self._until(last - self.window.opens) == self._until(second - self.window.closes)
        )

    def rest(self, second: int) -> None:
        """Let a quiet minute pass."""
        at = second % self._size
        self._sums[at : at + MINUTE] = array("d", [self._issued]) * MINUTE

    def want(self, second: int) -> float:
        """How many of those that are due the provider's limits let through in this second."""
        window = self.window
        # Whoever has to wait is given a moment by one process, and often comes back to another, which knows nothing of
        # that and gives a later one. So while any wait, all processes together let through what one does.
        most = self.alone if self.backlog else self.together
        due = (self._until(second - window.opens) - self._until(second - window.closes)) / window.width
        if second < self._first.ends:
            due += self._first.due(second)
        if due:
            self.due += due
            self.backlog += due
            self._waiting.append((second, due))
        return min(self.backlog, most)

    def serve(self, second: int, amount: float) -> None:
        """Refresh so many, the longest due first."""
        late = self._take(second, amount) if amount else 0
        self.served += amount
        self._issued += amount
        if second < self._first.ends:
            self._issued += self._first.issued(second)
        self._sums[second % self._size] = self._issued
        self.curve.add(amount, late)

    def over_and_waiting(self, second: int) -> float:
        """How many tokens are over whose refresh still waits."""
        return sum(amount for due, amount in self._waiting if second - due > self.window.slack)

    def _until(self, second: int) -> float:
        return self._sums[second % self._size] if second >= 0 else 0.0

    def _take(self, second: int, amount: float) -> int:
        """Take so many out of the line; returns how late the first of them was."""
        first = self._waiting[0][0]
        if amount >= self.backlog:  # all: nothing may stay behind for the sake of rounding
            for due, there in self._waiting:
                self._note(second - due, there)
            self._waiting.clear()
        else:
            self._take_some(second, amount)
        self.backlog = self.backlog - amount if self._waiting else 0.0
        return second - first

    def _take_some(self, second: int, amount: float) -> None:
        while amount > 0 and self._waiting:
            due, there = self._waiting.popleft()
            taken = min(amount, there)
            self._note(second - due, taken)
            if there > taken:
                self._waiting.appendleft((due, there - taken))
            amount -= taken

    def _note(self, late: int, amount: float) -> None:
        if late:
            self.lateness.add(late, amount)
            if late > self.window.slack:
                self.too_late += amount


def _one_lets_through(crowd: Crowd, plan: Plan) -> float:
    """How many a second one worker process sends to the provider in the long run."""
    if crowd.limit is None:
        return math.inf
    return min(pace_of(crowd.limit).per_second, crowd.at_once / plan.latency.total_seconds())
