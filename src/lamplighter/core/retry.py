"""Retry policies: given how an attempt failed, how long to wait before the next, or None to give up."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from datetime import timedelta

from msgspec import Struct

from lamplighter.core.errors import ConfigError

Seconds = float | timedelta


class Attempt(Struct, frozen=True):
    """What a policy may look at: `failures` so far with this one (1, 2, …), the job's age, and the error."""

    failures: int
    age: timedelta
    error: BaseException


RetryPolicy = Callable[[Attempt], timedelta | None]


def never(_: Attempt) -> None:
    """Fail at the first error."""
    return


def fixed(
    delay: Seconds = 10, *, attempts: int = 5, jitter: bool = False, max_age: Seconds | None = None
) -> RetryPolicy:
    """The same delay before each attempt."""
    wait = _seconds(delay)
    return _policy(lambda _: wait, attempts, jitter=jitter, max_age=max_age)


def linear(
    step: Seconds = 10, *, attempts: int = 5, cap: Seconds = 3600, jitter: bool = False, max_age: Seconds | None = None
) -> RetryPolicy:
    """step, 2 x step, 3 x step, … but never more than `cap`."""
    first, most = _seconds(step), _seconds(cap)
    return _policy(lambda n: min(most, first * n), attempts, jitter=jitter, max_age=max_age)


def exponential(
    first: Seconds = 5,
    *,
    factor: float = 2,
    cap: Seconds = 3600,
    attempts: int = 5,
    jitter: bool = True,
    max_age: Seconds | None = None,
) -> RetryPolicy:
    """first, first x factor, first x factor², … but never more than `cap`.

    With `jitter` each delay is drawn between half of it and all of it ("equal jitter", M. Brooker, AWS
    Architecture Blog, 2015), so that jobs which failed together do not come back together.

    Args:
        attempts: how often the job runs in all, the first time included.
        max_age: give up once the job is older than this, whatever attempts are left.
    """
    start, most = _seconds(first), _seconds(cap)
    ceiling = 64  # past it the power would overflow a float, and every cap was reached long before
    return _policy(lambda n: min(most, start * factor ** min(n - 1, ceiling)), attempts, jitter=jitter, max_age=max_age)


def _policy(delay: Callable[[int], float], attempts: int, *, jitter: bool, max_age: Seconds | None) -> RetryPolicy:
    if attempts < 1:
        raise ConfigError(f"attempts is {attempts}: a job runs at least once, so give 1 or more.")
    oldest = None if max_age is None else timedelta(seconds=_seconds(max_age))

    def decide(attempt: Attempt) -> timedelta | None:
        if attempt.failures >= attempts or (oldest is not None and attempt.age >= oldest):
            return None
        wait = delay(attempt.failures)
        return timedelta(seconds=wait * _random.uniform(0.5, 1) if jitter else wait)  # noqa: S311

    return decide


def _seconds(value: Seconds) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0:
        raise ConfigError(f"a delay of {seconds:g} s lies in the past: give 0 or more.")
    return seconds
