"""What the model promises: nothing is lost, no limit is passed, and it goes by the schedule of the refreshes."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamplighter.capacity import Crowd, Figures, Plan, simulate
from lamplighter.capacity.lateness import Lateness
from lamplighter.capacity.plan import Tokens
from lamplighter.capacity.window import Window
from lamplighter.core.clock import EPOCH
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.refreshing.breaker import pace_of
from lamplighter.integrations.refreshing.schedule import refresh_at

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def seconds(least: float, most: float) -> st.SearchStrategy[timedelta]:
    return st.floats(least, most).map(lambda value: timedelta(seconds=value))


def crowd(slug: str) -> st.SearchStrategy[Crowd]:
    return st.builds(
        Crowd,
        slug=st.just(slug),
        integrations=st.integers(0, 100_000),
        lifetime=seconds(30, 5000),
        limit=st.none() | st.floats(0.1, 2000),
        at_once=st.integers(1, 1000),
        jitter=st.booleans(),
    )


PLANS = st.builds(
    Plan,
    crowds=st.tuples(crowd("gdrive").filter(lambda one: one.integrations > 0), crowd("box")),
    duration=seconds(60, 3600),
    connected_over=st.just(timedelta()) | seconds(0, 3000),
    tokens=st.sampled_from(["new", "any-age", "unknown"]),
    workers=st.integers(1, 5),
    concurrency=st.integers(1, 200),
    latency=seconds(0.01, 3),
)


def one(**values: Any) -> Figures:
    """What one provider's integrations come to in three hours, where slots are never short."""
    names = ("tokens", "connected_over", "workers", "duration")
    of_plan: dict[str, Any] = {name: values.pop(name) for name in names if name in values}
    crowd: dict[str, Any] = {"slug": "gdrive", "integrations": 10_000, "limit": None, **values}
    plan: dict[str, Any] = {"duration": 3 * HOUR, "concurrency": 10_000, "latency": SECOND / 1000, **of_plan}
    [figures] = simulate(Plan(crowds=(Crowd(**crowd),), **plan)).figures
    return figures


@settings(deadline=None, max_examples=40)
@given(PLANS)
def test_every_refresh_that_comes_due_begins_or_still_waits(plan: Plan) -> None:
    load = simulate(plan)
    for figures in load.figures:
        assert figures.due == pytest.approx(figures.refreshes + figures.waiting, abs=1e-3)
        assert sum(load.curves[figures.provider].per_minute) == pytest.approx(figures.refreshes, abs=1e-3)
        assert figures.too_late <= figures.due + 1e-3


@settings(deadline=None, max_examples=40)
@given(PLANS)
def test_no_second_has_more_than_limits_and_slots_let_through(plan: Plan) -> None:
    load = simulate(plan)
    peaks = zip(*(curve.peak_per_s for curve in load.curves.values()), strict=True)
    for of, figures in zip(plan.crowds, load.figures, strict=True):
        if of.limit is not None:
            assert figures.peak_per_s <= of.limit * plan.workers + 1e-6
        assert max(load.curves[of.slug].per_minute) <= 60 * figures.peak_per_s + 1e-6
    assert all(max(of_minute) <= plan.slots_per_s + 1e-6 for of_minute in peaks)


@settings(deadline=None, max_examples=40)
@given(PLANS)
def test_it_is_worked_out_alike_each_time(plan: Plan) -> None:
    assert simulate(plan).figures == simulate(plan).figures


@given(seconds(30, 366 * 86_400), st.floats(0, 1, exclude_max=True))
def test_a_window_has_every_moment_that_the_schedule_may_choose(lifetime: timedelta, throw: float) -> None:
    window = Window.of(lifetime)
    at = (refresh_at(EPOCH, EPOCH + lifetime, random=lambda: throw) - EPOCH) / SECOND
    assert 0 < window.opens <= at < window.closes + 1
    assert window.slack <= (lifetime / SECOND) - at


def test_the_first_herd_is_as_wide_as_the_jitter() -> None:
    figures = one(integrations=600_000)
    assert figures.peak_per_s == pytest.approx(600_000 / 60)
    assert (figures.peak_at, figures.latest, figures.too_late) == (3180, 0, 0)
    assert one(integrations=600_000, jitter=False).peak_per_s == 600_000


def test_a_million_that_come_evenly_need_no_more_than_the_mean() -> None:
    figures = one(integrations=1_000_000, connected_over=2 * HOUR, duration=12 * HOUR)
    assert figures.peak_per_s < 2 * figures.needs_per_s
    assert figures.needs_per_s == pytest.approx(1_000_000 / 3240)


def test_tokens_of_unknown_age_are_all_due_at_once() -> None:
    assert one(tokens="unknown").peak_per_s == pytest.approx(10_000)


def test_tokens_of_any_age_are_due_at_once_if_they_should_have_been_before() -> None:
    figures = one(tokens="any-age")
    assert figures.peak_per_s == pytest.approx(10_000 * (1 - 3240 / 3600) + 10_000 * 0.9 / 3240, rel=0.01)


@pytest.mark.parametrize("tokens", ["new", "any-age", "unknown"])
def test_in_the_long_run_every_token_is_refreshed_once_in_a_cycle(tokens: Tokens) -> None:
    figures = one(tokens=tokens, duration=timedelta(days=3))
    assert figures.refreshes == pytest.approx(3 * 86_400 * figures.needs_per_s, rel=0.02)


def test_a_limit_makes_the_last_of_a_herd_wait_for_all_before_it() -> None:
    figures = one(limit=50)
    pace = pace_of(50).per_second
    assert figures.peak_per_s == pytest.approx(pace)
    assert figures.latest == pytest.approx(10_000 / pace - 60, abs=2)
    assert figures.chance_per_s <= 50


def test_a_limit_below_what_is_needed_lets_tokens_run_out_for_good() -> None:
    figures = one(integrations=600_000, limit=50, duration=24 * HOUR)
    assert figures.needs_per_s > figures.lets_through_per_s
    assert figures.too_late > 600_000
    assert figures.waiting > 0


def test_a_long_life_costs_hardly_more_than_a_short_one_and_is_counted_alike() -> None:
    figures = one(lifetime=timedelta(days=14), duration=timedelta(days=30))
    assert figures.refreshes == pytest.approx(20_000)
    assert figures.peak_at == pytest.approx(14 * 86_400 - 390, abs=60)


def test_lateness_is_told_of_all_and_not_only_of_the_late() -> None:
    lateness = Lateness()
    lateness.add(10, 4)
    lateness.add(123_456, 1)
    assert [lateness.percentile(percent, 100) for percent in (50, 95, 98, 99.5)] == [0, 0, 10, 123_000]
    assert lateness.latest == 123_456


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"integrations": -1}, "integrations of gdrive cannot be -1: give a number from 0 to 100,000,000."),
        ({"lifetime": SECOND}, "lifetime of gdrive cannot be 1s: give a duration from 30s to 366d."),
        ({"limit": math.nan}, "limit of gdrive must be above 0: give refreshes a second, such as 50."),
        ({"slug": "G"}, "'G' is no provider's name: write 2 to 20 characters of a-z, 0-9 and '-', like gdrive."),
        ({"workers": 0}, "workers cannot be 0: give a number from 1 to 10,000."),
        ({"duration": SECOND}, "the simulated time cannot be 1s: give a duration from 1m to 366d."),
        ({"tokens": "old"}, "tokens cannot be 'old': they are one of new, any-age, unknown."),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write_instead(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        one(**wrong)
    assert str(refused.value) == sentence


def test_a_provider_that_is_not_in_the_plan_has_no_figures() -> None:
    load = simulate(Plan(crowds=(Crowd(slug="gdrive", integrations=1),), duration=HOUR))
    assert load.of("gdrive").integrations == 1
    with pytest.raises(ConfigError, match="no provider 'box': name one of gdrive"):
        load.of("box")
