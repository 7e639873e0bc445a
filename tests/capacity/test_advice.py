"""What is advised, and that it comes true."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from lamplighter.capacity import Crowd, Load, Plan, simulate
from lamplighter.capacity.advice import RUNS, Advice, Option, advise, advise_slots

HOURS = timedelta(hours=1)


def advised(step: Any = lambda: None, **values: Any) -> Advice:
    of_plan = {name: values.pop(name) for name in ("workers", "connected_over", "duration") if name in values}
    crowd = Crowd(**{"slug": "gdrive", "integrations": 600_000, **values})
    plan = Plan(crowds=(crowd,), **{"duration": 12 * HOURS, **of_plan})
    return advise(plan, crowd, simulate(plan).of("gdrive"), step=step)


def option(advice: Advice, what: str) -> Option:
    [found] = [one for one in advice.options if what in one.what]
    return found


def test_where_nothing_needs_to_change_it_says_so() -> None:
    assert advised(integrations=1000).says == "gdrive: nothing needs to change: 17/s in its busiest second, none late."
    assert "within its quota of 300/s" in advised(integrations=1000, quota=300).says


def test_the_limit_it_names_is_one_at_which_no_token_runs_out() -> None:
    advice = advised()
    named = option(advice, "lowest that is in time")
    assert f"Set max_per_second to {named.limit:g}, and max_concurrency and the worker's concurrency to " in advice.says
    assert named.limit is not None
    assert named.at_once is not None
    crowd = Crowd(slug="gdrive", integrations=600_000, limit=named.limit, at_once=named.at_once)
    plan = Plan(crowds=(crowd,), concurrency=named.at_once, duration=12 * HOURS)
    assert simulate(plan).of("gdrive").too_late == 0
    lower = replace(plan, crowds=(replace(crowd, limit=named.limit * 0.8),))
    assert simulate(lower).of("gdrive").too_late > 0


def test_jitter_is_shown_for_what_it_is_worth() -> None:
    advice = advised()
    assert option(advice, "no jitter").peak_per_s == 600_000
    assert advice.options[1] == Option(what="no limit", peak_per_s=advice.options[1].peak_per_s, latest=0, too_late=0)
    assert advice.options[1].peak_per_s == pytest.approx(10_000)


def test_a_limit_below_the_need_is_named_as_the_cause() -> None:
    told = advised(limit=50).says
    assert "its tokens run out for good, because they need 185/s and no more than 46/s get through" in told


def test_a_limit_that_keeps_up_tells_how_late_the_herd_gets() -> None:
    keeps_up = option(advised(), "keeps up")
    assert keeps_up.limit == 240
    assert 30 * 60 < keeps_up.latest < 60 * 60


def test_a_quota_bounds_the_limit_for_all_workers_together() -> None:
    advice = advised(quota=800, workers=4, limit=1000, at_once=1000)
    named = option(advice, "the highest there may be")
    assert named.limit == 200
    assert named.too_late > 0
    assert "is more than its quota of 800/s" in advice.says


def test_a_quota_below_the_need_cannot_be_helped() -> None:
    advice = advised(quota=100)
    assert advice.says.endswith("its quota is 100/s: ask the provider for more, since no limit can help.")


def test_coming_over_a_round_is_offered_only_to_those_who_come_faster() -> None:
    assert "connected over 54m" in advised().says
    assert "connected over" not in advised(connected_over=2 * HOURS).says


def test_tokens_that_do_not_come_due_in_the_time_have_no_advice() -> None:
    told = advised(lifetime=timedelta(days=60)).says
    assert told == "gdrive: none of its tokens comes due in this time, so simulate a longer one."


def test_it_steps_no_more_often_than_it_says() -> None:
    steps: list[None] = []
    advised(step=lambda: steps.append(None))
    assert 0 < len(steps) <= RUNS


def load_of(concurrency: int) -> Load:
    crowds = (Crowd(slug="gdrive", integrations=600_000), Crowd(slug="box", integrations=600_000))
    return simulate(Plan(crowds=crowds, concurrency=concurrency, duration=HOURS))


def test_too_few_slots_for_all_providers_are_told_once() -> None:
    told = advise_slots(load_of(100))
    assert told is not None
    assert told.startswith(
        "All providers together need 370/s, and the slots of all workers let 333/s through: give them "
    )
    assert advise_slots(load_of(120)) is None
