"""When integrations are checked, and what spans of health add up to."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lamplighter.core.ids import new_id
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.health.history import Span, history
from lamplighter.integrations.health.spread import next_check

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

moments = st.timedeltas(timedelta(), timedelta(days=30_000)).map(lambda since: START + since)
intervals = st.timedeltas(timedelta(minutes=1), timedelta(days=365))
healths = st.sampled_from(["healthy", "expired", "unauthorized", "error", None])


@given(st.text(max_size=40), intervals, moments)
def test_the_next_check_is_within_an_interval_and_its_successor_exactly_one_later(
    id_: str, interval: timedelta, now: datetime
) -> None:
    first = next_check(id_, interval, now)
    assert now < first <= now + interval
    assert next_check(id_, interval, first) == first + interval


@given(st.text(max_size=40), intervals, moments, st.floats(0, 0.999))
def test_whenever_one_looks_before_it_the_next_check_is_the_same(
    id_: str, interval: timedelta, now: datetime, share: float
) -> None:
    first = next_check(id_, interval, now)
    assert next_check(id_, interval, now + (first - now) * share) == first


def test_ten_thousand_integrations_are_spread_evenly_over_the_interval() -> None:
    ids = [new_id(1_700_000_000_000_000 + number) for number in range(10_000)]
    quarters = Counter((next_check(id_, 4 * HOUR, START) - START) // (HOUR / 4) for id_ in ids)
    assert len(quarters) == 16
    assert all(500 < count < 750 for count in quarters.values())


def spans_of(*parts: tuple[float, Health | None]) -> list[Span]:
    """Spans that begin so many hours after the start."""
    return [Span(START + HOUR * at, health, f"{health} at {at}", 2, 100) for at, health in parts]


def test_neighbours_without_health_are_one_incident_and_what_is_not_known_counts_for_nothing() -> None:
    spans = spans_of((0, "healthy"), (6, "unauthorized"), (7, "expired"), (8, "healthy"), (10, None), (14, "error"))
    found = history(spans, START - HOUR, START + 16 * HOUR)
    assert found.uptime == 8 / 12
    first, last = found.incidents
    assert (first.began_at, first.ended_at, first.health) == (START + 6 * HOUR, START + 8 * HOUR, "unauthorized")
    assert (last.began_at, last.ended_at, last.message) == (START + 14 * HOUR, None, "error at 14")
    assert (found.checks, found.mean_latency_ms) == (12, 50)


def test_nothing_is_known_of_a_time_before_the_first_span() -> None:
    found = history(spans_of((5, "healthy")), START, START + HOUR)
    assert (found.uptime, found.incidents, found.mean_latency_ms) == (None, (), None)


@given(
    st.lists(st.tuples(st.floats(0, 100), healths), max_size=20, unique_by=lambda part: part[0]),
    st.floats(0, 50),
    st.floats(51, 120),
)
def test_uptime_is_what_incidents_leave_of_what_is_known(
    parts: list[tuple[float, Health | None]], since: float, until: float
) -> None:
    spans = spans_of(*sorted(parts, key=lambda part: part[0]))
    begin, end = START + HOUR * since, START + HOUR * until
    found = history(spans, begin, end)
    down = sum(((one.ended_at or end) - max(one.began_at, begin) for one in found.incidents), timedelta())
    bounds = [*[span.began_at for span in spans[1:]], end]
    known = sum(
        (
            max(min(bound, end) - max(span.began_at, begin), timedelta())
            for span, bound in zip(spans, bounds, strict=False)
            if span.health and span.began_at < end
        ),
        timedelta(),
    )
    if found.uptime is None:
        assert not known
    else:
        assert abs((known - down) / known - found.uptime) < 1e-9
    assert all(one.ended_at is not None for one in found.incidents[:-1])
