"""What keeps one provider from being asked too often: a breaker for its outages, and a gate made of it and a pace.

Pure and for one event loop: the caller passes the time, and sleeps as long as `admit` says. Concurrency is not
counted here, because a slot whose holder was cancelled would leak: use a semaphore of `provider.max_concurrency`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from lamplighter.core.clock import EPOCH
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.pace import Pace
from lamplighter.integrations.refreshing.schedule import LONGEST_PAUSE, pause_limit

OUTAGES_TO_OPEN = 5
PROBE_LIMIT = timedelta(seconds=30)  # longer than any request: a cancelled probe must not shut the door forever
LOOK_AGAIN = timedelta(seconds=1)  # while a probe is out


class BreakerState(StrEnum):
    """Closed: all may pass. Open: none. Half open: one at a time, to find out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after five outages in a row, or at once when told Retry-After; each failed probe doubles the pause."""

    def __init__(self, longest_pause: timedelta = LONGEST_PAUSE) -> None:
        self.state = BreakerState.CLOSED
        self._longest_pause = longest_pause  # but for Retry-After
        self._failures = 0  # while closed: outages in a row
        self._openings = 0  # since the last success
        self._until = EPOCH  # open: end of the pause; half open: when the probe counts as lost

    def wait(self, now: datetime) -> timedelta | None:
        """How long `admit` would tell to wait; None: not at all. Changes nothing."""
        if self.state is BreakerState.CLOSED or now >= self._until:
            return None
        left = self._until - now
        return min(left, LOOK_AGAIN) if self.state is BreakerState.HALF_OPEN else left

    def admit(self, now: datetime) -> timedelta | None:
        """None: go, and report `succeeded` or `failed`. Otherwise ask again after that long."""
        wait = self.wait(now)
        if wait is None and self.state is not BreakerState.CLOSED:
            self.state, self._until = BreakerState.HALF_OPEN, now + PROBE_LIMIT
        return wait

    def follow(self, until: datetime | None) -> None:
        """What all processes know counts for more than what this one has seen: the provider is left alone until then,
        and then probed; or it is not, any more."""
        if until is not None and self.state is not BreakerState.HALF_OPEN:
            self.state, self._until = BreakerState.OPEN, until
        elif until is None and self.state is not BreakerState.CLOSED:
            self.state, self._failures, self._openings = BreakerState.CLOSED, 0, 0

    def withdraw(self, now: datetime) -> None:
        """Whoever was admitted sends nothing after all: if it was the probe, the next one may be it."""
        if self.state is BreakerState.HALF_OPEN:
            self.state, self._until = BreakerState.OPEN, now

    def succeeded(self, now: datetime) -> None:
        """The provider answered, whatever it said: a revoked grant is no outage."""
        if self.state is BreakerState.OPEN and now < self._until:
            return  # sent before it opened: a straggler must not cancel a Retry-After
        self.state, self._failures, self._openings = BreakerState.CLOSED, 0, 0

    def failed(self, now: datetime, retry_after: timedelta | None = None, *, is_probe: bool = False) -> None:
        """The provider did not answer, or asked to be left alone for `retry_after`.

        What a probe found out counts for more than what was said of the provider meanwhile, even by `follow`.
        """
        self._failures += 1
        if self.state is BreakerState.OPEN and now < self._until and not is_probe:
            self._until = max(self._until, now + (retry_after or timedelta()))  # fifty stragglers are one outage
        elif retry_after or self._failures >= OUTAGES_TO_OPEN or self.state is not BreakerState.CLOSED:
            self._openings += 1
            self.state = BreakerState.OPEN
            self._until = now + max(retry_after or timedelta(), min(pause_limit(self._openings), self._longest_pause))


def pace_of(limit: float) -> Pace:
    """The pace of a provider that is asked at most `limit` times in any second."""
    return Pace(limit, burst=max(1, int(limit / 10)))


class Gate:
    """Breaker and pace of one provider, as one question."""

    def __init__(self, provider: Provider, longest_pause: timedelta = LONGEST_PAUSE) -> None:
        self.breaker = Breaker(longest_pause)
        self.pace = pace_of(provider.max_per_second)

    def admit(self, now: datetime, key: str | None = None) -> timedelta | None:
        """None: send one request, and report `succeeded`, `failed` or `withdraw`. Otherwise ask again after that long.

        With a key, the moment that it is told is kept for it: see `Pace.reserve`. While the breaker is open such
        moments follow its end, so that not all who wait come back at once.
        The breaker is looked at before and changed after: a probe that the pace then refuses would never report.
        """
        closed_for = self.breaker.wait(now)
        if key is None:
            return closed_for or self.pace.admit(now) or self.breaker.admit(now)
        return self.pace.reserve(key, now, not_before=now + (closed_for or timedelta())) or self.breaker.admit(now)

    def withdraw(self, now: datetime) -> None:
        """What was admitted is not sent."""
        self.breaker.withdraw(now)

    def succeeded(self, now: datetime) -> None:
        """The provider answered, whatever it said."""
        self.breaker.succeeded(now)

    def failed(self, now: datetime, retry_after: timedelta | None = None, *, is_probe: bool = False) -> None:
        """The provider is down, or asked to be left alone for `retry_after`."""
        self.breaker.failed(now, retry_after, is_probe=is_probe)
