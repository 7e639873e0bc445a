"""Breaker, pace and gate: who may ask a provider, and when."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.breaker import OUTAGES_TO_OPEN, PROBE_LIMIT, Breaker, BreakerState, Gate
from lamplighter.integrations.refreshing.pace import Pace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PROVIDER = Provider(
    slug="stormy",
    display_name="Stormy",
    auth_url="https://stormy.example/authorize",
    token_url="https://stormy.example/token",
    client_id="id",
    client_secret=Secret("secret"),
)


def opened(now: datetime = NOW) -> Breaker:
    breaker = Breaker()
    for _ in range(OUTAGES_TO_OPEN):
        assert breaker.admit(now) is None
        breaker.failed(now)
    return breaker


def test_five_outages_in_a_row_open_it() -> None:
    assert opened().admit(NOW) == SECOND


def test_outages_with_an_answer_between_them_do_not_open_it() -> None:
    breaker = Breaker()
    for _ in range(3):
        for _ in range(OUTAGES_TO_OPEN - 1):
            breaker.failed(NOW)
        breaker.succeeded(NOW)
    assert breaker.admit(NOW) is None


def test_retry_after_opens_it_at_once_for_that_long() -> None:
    breaker = Breaker()
    breaker.failed(NOW, timedelta(seconds=90))
    assert breaker.admit(NOW + 30 * SECOND) == timedelta(seconds=60)


def test_an_answer_to_an_earlier_request_does_not_cancel_retry_after() -> None:
    breaker = Breaker()
    breaker.failed(NOW, timedelta(seconds=90))
    breaker.succeeded(NOW + SECOND)
    assert breaker.admit(NOW + SECOND) == timedelta(seconds=89)


def test_stragglers_of_one_outage_do_not_lengthen_the_pause() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(NOW)
    assert breaker.admit(NOW) == SECOND


def test_a_probe_that_fails_pauses_anew_even_if_another_request_withdrew_meanwhile() -> None:
    """Nobody would know how long to wait, and all processes would wait for the probe that never told."""
    breaker = opened()
    assert breaker.admit(NOW + SECOND) is None
    breaker.withdraw(NOW + SECOND)  # by one that was let through before the outage, and is given back only now
    breaker.failed(NOW + 2 * SECOND)
    assert breaker.wait(NOW + 2 * SECOND) == 2 * SECOND


def test_a_probe_that_fails_pauses_anew_whatever_was_heard_of_the_provider_meanwhile() -> None:
    """Its own process reads that a probe is out, for half a minute at most, and must not take that for the answer."""
    breaker = opened()
    assert breaker.admit(NOW + SECOND) is None
    breaker.withdraw(NOW + SECOND)
    breaker.follow(NOW + SECOND + PROBE_LIMIT)
    breaker.failed(NOW + 2 * SECOND, is_probe=True)
    assert breaker.wait(NOW + 2 * SECOND) == 2 * SECOND


def test_half_open_lets_one_probe_through_and_its_success_closes_it() -> None:
    breaker = opened()
    later = NOW + SECOND
    assert [breaker.admit(later), breaker.admit(later)] == [None, SECOND]
    breaker.succeeded(later)
    assert [breaker.admit(later), breaker.admit(later)] == [None, None]


def test_each_failed_probe_doubles_the_pause_up_to_five_minutes() -> None:
    breaker, now, pauses = opened(), NOW, []
    for _ in range(12):
        pause = breaker.admit(now)
        assert pause is not None
        pauses.append(pause.total_seconds())
        now += pause
        assert breaker.admit(now) is None
        breaker.failed(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_probe_that_never_reports_is_replaced() -> None:
    breaker = opened()
    later = NOW + SECOND
    assert breaker.admit(later) is None
    assert breaker.admit(later + PROBE_LIMIT) is None


STEPS = st.lists(st.timedeltas(timedelta(), timedelta(seconds=2)), max_size=200)


@given(st.floats(0.2, 200), st.integers(1, 20), STEPS)
def test_no_second_ever_sees_more_than_the_limit_nor_one_moment_more_than_the_burst(
    limit: float, burst: int, steps: list[timedelta]
) -> None:
    burst = min(burst, max(1, int(limit)))
    pace, now, admitted = Pace(limit, burst), NOW, list[datetime]()
    for step in steps:
        now += step
        for _ in range(30):
            if pace.admit(now) is None:
                admitted.append(now)
    for first in admitted:
        assert sum(first <= moment < first + SECOND for moment in admitted) <= math.ceil(limit)
        assert admitted.count(first) <= burst


@given(st.floats(0.2, 200), STEPS)
def test_whoever_waits_as_long_as_told_may_go(limit: float, steps: list[timedelta]) -> None:
    pace, now = Pace(limit), NOW
    for step in steps:
        now += step
        wait = pace.admit(now)
        if wait is not None:
            assert wait > timedelta()
            now += wait
            assert pace.admit(now) is None


def test_a_sustained_rush_gets_nearly_the_whole_limit() -> None:
    gate, now, admitted = Gate(PROVIDER), NOW, list[datetime]()
    while now < NOW + 10 * SECOND:
        wait = gate.admit(now)
        admitted += [now] if wait is None else []
        now += wait or timedelta()
    assert 450 <= len(admitted) <= 500
    assert max(sum(first <= moment < first + SECOND for moment in admitted) for first in admitted) == 50


def test_a_clock_set_back_does_not_stop_the_pace_for_hours() -> None:
    pace = Pace(10)
    assert pace.admit(NOW) is None
    wait = pace.admit(NOW - timedelta(hours=3))
    assert wait is not None
    assert wait <= SECOND / 10


def test_an_open_gate_spends_no_pace_and_tells_the_breakers_wait() -> None:
    gate = Gate(PROVIDER)
    gate.failed(NOW, timedelta(seconds=90))
    assert {gate.admit(NOW) for _ in range(1000)} == {timedelta(seconds=90)}
    gate.succeeded(NOW + timedelta(seconds=90))
    assert gate.admit(NOW + timedelta(seconds=90)) is None


@pytest.mark.parametrize("per_second", [0.5, 50])
def test_a_probe_refused_by_the_pace_is_not_lost(per_second: float) -> None:
    gate = Gate(msgspec.structs.replace(PROVIDER, max_per_second=per_second))
    assert gate.admit(NOW) is None
    gate.failed(NOW, SECOND)
    now = NOW + SECOND
    while (wait := gate.admit(now)) is not None:
        assert gate.breaker.state is BreakerState.OPEN
        now += wait
    assert now <= NOW + timedelta(seconds=2)
    assert gate.breaker.state is BreakerState.HALF_OPEN
