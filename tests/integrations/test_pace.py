"""Appointments: whoever must wait is asked about once more, at a moment of their own."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.secret import Secret
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.breaker import BreakerState, Gate
from lamplighter.integrations.refreshing.pace import KEPT, Pace

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


def most_in_a_second(moments: list[datetime]) -> int:
    first, most = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] + SECOND <= moment:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_a_hundred_thousand_at_once_are_asked_about_once_more_at_moments_of_their_own() -> None:
    pace = Pace(50, burst=5)
    waits = [pace.reserve(str(number), NOW) for number in range(100_000)]
    moments = [NOW + wait for wait in waits if wait is not None]
    assert len(moments) == 99_995
    assert len(set(moments)) == len(moments)
    assert most_in_a_second([NOW] * 5 + moments) <= 50
    again = [pace.reserve(str(number), moment) for number, moment in enumerate(moments, start=5)]
    assert set(again) == {None}


def test_a_newcomer_goes_behind_those_who_wait() -> None:
    pace = Pace(10)
    waits = [pace.reserve(str(number), NOW) for number in range(20)]
    late = pace.reserve("newcomer", NOW + SECOND)
    assert late is not None
    assert NOW + SECOND + late > NOW + max(wait for wait in waits if wait is not None)


def test_who_comes_early_is_told_the_same_moment() -> None:
    pace = Pace(1)
    assert pace.reserve("a", NOW) is None
    assert pace.reserve("b", NOW) == SECOND
    assert pace.reserve("b", NOW + SECOND / 4) == SECOND * 3 / 4
    assert pace.reserve("b", NOW + SECOND) is None


@given(st.floats(0.2, 200), st.lists(st.timedeltas(timedelta(), timedelta(seconds=3)), min_size=1, max_size=120))
def test_even_of_those_who_come_late_no_second_sees_more_than_the_limit(limit: float, delays: list[timedelta]) -> None:
    pace, went = Pace(limit), list[datetime]()
    coming = [(NOW, str(number), delay) for number, delay in enumerate(delays)]
    while coming:
        coming.sort()
        now, key, delay = coming.pop(0)
        wait = pace.reserve(key, now)
        if wait is None:
            went.append(now)
        else:
            assert wait > timedelta()
            coming.append((now + wait + delay, key, timedelta()))
    assert most_in_a_second(went) <= math.ceil(limit) + 1  # a newcomer among those who came late


def test_a_crowd_that_a_stalled_worker_brings_late_is_spread_anew() -> None:
    pace = Pace(10)
    for number in range(301):
        pace.reserve(str(number), NOW)
    now = NOW + 31 * SECOND
    waits = [pace.reserve(str(number), now) for number in range(1, 301)]
    assert waits.count(None) == 10
    assert len(set(waits)) == 291


def test_a_missed_appointment_is_forgotten() -> None:
    pace = Pace(10)
    for number in range(1000):
        pace.reserve(str(number), NOW)
    assert pace.reserve("later", NOW + 100 * SECOND + KEPT) is None
    assert not pace._appointments


def test_a_clock_set_back_makes_nobody_wait_for_hours() -> None:
    pace = Pace(10)
    for number in range(3):
        pace.reserve(str(number), NOW)
    wait = pace.reserve("2", NOW - timedelta(hours=3))
    assert wait is not None
    assert wait <= SECOND


def test_who_waits_for_an_open_breaker_is_appointed_after_it_opens_one_by_one() -> None:
    gate = Gate(PROVIDER)
    gate.failed(NOW, timedelta(seconds=90))
    waits = [gate.admit(NOW, str(number)) for number in range(1000)]
    moments = sorted(NOW + wait for wait in waits if wait is not None)
    assert len(set(moments)) == 1000
    assert moments[0] == NOW + timedelta(seconds=90)
    assert most_in_a_second(moments) <= 50
    assert gate.admit(moments[0], "0") is None
    gate.succeeded(moments[0])
    assert {gate.admit(moment, str(number)) for number, moment in enumerate(moments[1:], start=1)} == {None}


def test_a_withdrawn_probe_lets_the_next_one_through() -> None:
    gate = Gate(msgspec.structs.replace(PROVIDER, max_per_second=1000))
    gate.failed(NOW, SECOND)
    assert gate.admit(NOW + SECOND) is None
    gate.withdraw(NOW + SECOND)
    assert [gate.admit(NOW + SECOND) for _ in range(2)] == [None, SECOND]
    gate.succeeded(NOW + SECOND)
    gate.withdraw(NOW + SECOND)
    assert gate.breaker.state is BreakerState.CLOSED


@given(st.floats(0.1, 500), st.integers(1, 20))
def test_while_some_always_wait_as_many_go_as_it_says(limit: float, burst: int) -> None:
    pace = Pace(max(limit, float(burst)), burst)
    now, gone = NOW, 0
    while gone < 200:
        wait = pace.admit(now)
        now, gone = (now, gone + 1) if wait is None else (now + wait, gone)
    assert (gone - burst) / ((now - NOW) / SECOND) == pytest.approx(pace.per_second, rel=0.01)
