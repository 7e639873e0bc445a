"""The engine itself does what the model says of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from lamplighter.capacity import Crowd, Plan
from lamplighter.capacity.rehearsal import Part, Rehearsal, rehearse, sampled

HOUR = timedelta(hours=1)
WIDE = {"limit": 1000.0, "at_once": 1000}


def rehearsed(of: dict[str, Any], **of_plan: Any) -> Rehearsal:
    crowd = Crowd(slug="gdrive", integrations=600_000, **of)
    return rehearse(Plan(crowds=(crowd,), **of_plan), sample=1000, seed=1)


def part_of(rehearsal: Rehearsal) -> Part:
    [part] = rehearsal.parts
    return part


@pytest.mark.parametrize(
    ("of", "of_plan"),
    [
        ({}, {}),
        ({"limit": 2000.0, "at_once": 2000}, {"concurrency": 2000}),
        ({"limit": 300.0, "at_once": 100}, {"workers": 4}),
        (WIDE, {"tokens": "unknown", "concurrency": 1000}),
        (WIDE, {"tokens": "any-age", "concurrency": 1000}),
        (WIDE, {"connected_over": HOUR, "concurrency": 1000}),
        ({"limit": 2000.0, "at_once": 2000}, {"concurrency": 100}),
    ],
    ids=["limited", "wide", "four workers", "all at once", "of any age", "spread", "short of slots"],
)
def test_the_engine_refreshes_as_many_and_as_late_as_was_worked_out(
    of: dict[str, Any], of_plan: dict[str, Any]
) -> None:
    part = part_of(rehearsed(of, **of_plan))
    assert part.refreshes == pytest.approx(part.expected_refreshes, rel=0.06, abs=6)
    assert part.late_p99 == pytest.approx(part.expected_p99, rel=0.12, abs=30)  # by chance: seeds differ by that
    assert part.latest == pytest.approx(part.expected_latest, rel=0.12, abs=30)


def test_the_same_seed_makes_the_same_rehearsal() -> None:
    plan = Plan(crowds=(Crowd(slug="gdrive", integrations=300, limit=5),))
    assert rehearse(plan, sample=300, seed=1) == rehearse(plan, sample=300, seed=1)


def test_another_seed_makes_another() -> None:
    plan = Plan(crowds=(Crowd(slug="gdrive", integrations=300, limit=5),))
    assert rehearse(plan, sample=300, seed=1) != rehearse(plan, sample=300, seed=2)


def test_a_sample_has_limits_and_slots_in_proportion() -> None:
    plan = Plan(crowds=(Crowd(slug="gdrive", integrations=600_000), Crowd(slug="box", integrations=400_000)), workers=8)
    small = sampled(plan, 1000)
    assert [crowd.integrations for crowd in small.crowds] == [600, 400]
    assert small.slots_per_s == pytest.approx(plan.slots_per_s / 1000)
    all_limits = [crowd.limit * small.workers for crowd in small.crowds if crowd.limit]
    assert all_limits == pytest.approx([50 * 8 / 1000] * 2)
    assert sampled(plan, 2_000_000).crowds == tuple(
        Crowd(slug=crowd.slug, integrations=crowd.integrations, limit=100, at_once=100) for crowd in plan.crowds
    )


def test_steps_are_told_until_the_time_is_over() -> None:
    told: list[tuple[float, float]] = []
    plan = Plan(crowds=(Crowd(slug="gdrive", integrations=3),), duration=timedelta(minutes=5))
    rehearse(plan, sample=3, seed=1, step=lambda done, all_: told.append((done, all_)))
    assert told == [(60.0 * minute, 300.0) for minute in range(1, 6)]
