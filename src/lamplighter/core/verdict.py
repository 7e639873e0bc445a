"""What a handler may raise to decide what becomes of its job. Anything else it raises is a failed attempt."""

from __future__ import annotations

from datetime import timedelta


class Verdict(Exception):
    """Base of the four decisions."""


class Retry(Verdict):
    """This attempt failed; try again, `after` this long (default: what the retry policy says). Spends an attempt."""

    def __init__(self, reason: str = "asked for a retry", *, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Snooze(Verdict):
    """Not now: come back after `delay`. Spends no attempt."""

    def __init__(self, delay: timedelta, reason: str = "not now") -> None:
        super().__init__(reason)
        self.delay = delay


class Cancel(Verdict):
    """The job is no longer wanted: it ends as cancelled, and nobody need look at it."""

    def __init__(self, reason: str = "no longer wanted") -> None:
        super().__init__(reason)


class Discard(Verdict):
    """Trying again cannot help: the job ends as failed at once, whatever attempts are left."""

    def __init__(self, reason: str = "cannot succeed") -> None:
        super().__init__(reason)
