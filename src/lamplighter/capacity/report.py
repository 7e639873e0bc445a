"""All that is worked out for an operator, in one go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from lamplighter.capacity.advice import RUNS, Advice, advise, advise_slots
from lamplighter.capacity.crons import Slots, count_slots
from lamplighter.capacity.load import Load, simulate
from lamplighter.capacity.plan import Plan
from lamplighter.engine.tick import Entry

if TYPE_CHECKING:
    from lamplighter.capacity.rehearsal import Rehearsal

Step = Callable[[str, float, float], None]
"""What is under way, how much of it is done, and how much there is."""


class Report(Struct, frozen=True, kw_only=True):
    """What a plan and an app's schedules come to; None where that was not asked for."""

    load: Load | None = None
    advice: tuple[Advice, ...] = ()
    slots_advice: str | None = None
    rehearsal: Rehearsal | None = None
    schedules: Slots | None = None

    @property
    def is_good(self) -> bool:
        """Whether every token is refreshed in time, and no quota is exceeded."""
        if self.load is None:
            return True
        quotas = {crowd.slug: crowd.quota for crowd in self.load.plan.crowds}
        return all(
            one.too_late < 0.5 and _is_within(one.chance_per_s, quotas[one.provider]) for one in self.load.figures
        )


class Ask(Struct, frozen=True, kw_only=True):
    """What is asked: `plan` and `schedules` None are not. `sample`: integrations that are rehearsed, with the dice of
    `seed`; `start` and `duration` are of the schedules."""

    plan: Plan | None
    schedules: tuple[Entry, ...] | None
    sample: int
    seed: int
    start: datetime
    duration: timedelta


def make_report(ask: Ask, *, step: Step) -> Report:
    """Work it out. Nothing is sent or opened, and no job of an app is run."""
    report = Report()
    if ask.plan is not None:
        report = _of_tokens(ask.plan, ask, step)
    if ask.schedules is not None:
        slots = count_slots(ask.schedules, ask.start, ask.duration, step=lambda share: step("schedules", share, 1))
        report = replace(report, schedules=slots)
    return report


def _of_tokens(plan: Plan, ask: Ask, step: Step) -> Report:
    load = simulate(plan, step=lambda done, all_: step("refreshes", done, all_))
    advice = _advice(load, step)
    if ask.sample:
        from lamplighter.capacity.rehearsal import rehearse  # noqa: PLC0415 - it needs the integrations' libraries

        told = rehearse(plan, sample=ask.sample, seed=ask.seed, step=lambda done, all_: step("rehearsal", done, all_))
    else:
        told = None
    return Report(load=load, advice=advice, slots_advice=advise_slots(load), rehearsal=told)


def _advice(load: Load, step: Step) -> tuple[Advice, ...]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        step("ways to flatten it", done, RUNS * len(load.figures))

    return tuple(
        advise(load.plan, crowd, figures, step=count)
        for crowd, figures in zip(load.plan.crowds, load.figures, strict=True)
    )


def _is_within(rate: float, quota: float | None) -> bool:
    return quota is None or rate <= quota
