"""Retry policies: how long to wait, and when to give up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.errors import ConfigError
from lamplighter.core.retry import Attempt, RetryPolicy, exponential, fixed, linear, never

ERROR = OSError("no answer")


def waits(policy: RetryPolicy, n: int) -> list[float | None]:
    """Seconds that the policy waits after each of the first n failures."""
    answers = [policy(Attempt(failures, timedelta(0), ERROR)) for failures in range(1, n + 1)]
    return [None if wait is None else wait.total_seconds() for wait in answers]


def test_never_gives_up_at_the_first_failure() -> None:
    assert never(Attempt(1, timedelta(0), ERROR)) is None  # type: ignore[func-returns-value]


def test_fixed_waits_the_same_each_time() -> None:
    assert waits(fixed(7, attempts=4), 5) == [7, 7, 7, None, None]


def test_linear_grows_by_a_step_up_to_its_cap() -> None:
    assert waits(linear(timedelta(seconds=10), cap=25, attempts=5), 5) == [10, 20, 25, 25, None]


def test_exponential_grows_by_a_factor_up_to_its_cap() -> None:
    assert waits(exponential(5, factor=3, cap=100, attempts=6, jitter=False), 6) == [5, 15, 45, 100, 100, None]


@pytest.mark.parametrize("make", [fixed, linear, exponential])
def test_one_attempt_means_no_retry(make: Callable[..., RetryPolicy]) -> None:
    assert waits(make(1, attempts=1), 1) == [None]


def test_a_job_that_is_too_old_is_given_up_whatever_attempts_are_left() -> None:
    policy = fixed(1, attempts=100, max_age=60)
    assert policy(Attempt(1, timedelta(seconds=59.999), ERROR)) == timedelta(seconds=1)
    assert policy(Attempt(1, timedelta(seconds=60), ERROR)) is None


@given(st.integers(1, 10**6), st.floats(0, 1e4), st.floats(1, 100), st.floats(0, 1e6))
def test_jitter_stays_between_half_and_all_of_the_delay(failures: int, first: float, factor: float, cap: float) -> None:
    make = {"factor": factor, "cap": cap, "attempts": 10**7}
    attempt = Attempt(failures, timedelta(0), ERROR)
    whole = exponential(first, jitter=False, **make)(attempt)  # type: ignore[arg-type]
    drawn = exponential(first, jitter=True, **make)(attempt)  # type: ignore[arg-type]
    assert whole is not None
    assert drawn is not None
    assert whole <= timedelta(seconds=cap)
    assert whole / 2 - timedelta(microseconds=1) <= drawn <= whole + timedelta(microseconds=1)


def test_jobs_that_failed_together_come_back_apart() -> None:
    policy = exponential(100)
    assert len({policy(Attempt(1, timedelta(0), ERROR)) for _ in range(20)}) > 1


@pytest.mark.parametrize("attempts", [0, -1])
def test_less_than_one_attempt_is_refused(attempts: int) -> None:
    with pytest.raises(ConfigError, match="give 1 or more"):
        fixed(attempts=attempts)


@pytest.mark.parametrize("make", [fixed, linear, exponential])
def test_a_delay_in_the_past_is_refused_when_the_policy_is_made(make: Callable[..., RetryPolicy]) -> None:
    with pytest.raises(ConfigError, match="give 0 or more"):
        make(-1)
