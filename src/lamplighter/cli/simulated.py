"""How a simulation is told: tables and lines of blocks for people, an object for programs, a drawing for a wall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from lamplighter.capacity.advice import Advice, rough
from lamplighter.capacity.crons import Slots
from lamplighter.capacity.curve import Curve, columns
from lamplighter.capacity.load import Figures, Load
from lamplighter.capacity.report import Report
from lamplighter.cli.output import count, print_table, say
from lamplighter.core.duration import format_duration, rough_duration
from lamplighter.observe.chart import Panel, Series, sparkline, svg

if TYPE_CHECKING:
    from lamplighter.capacity.rehearsal import Rehearsal

ACROSS = 60  # characters of a line of blocks
FINE = 720  # stretches of a drawing
BEFORE_PEAK = 10  # minutes of the busiest hour
HOUR = 60
TICKS = 6


def tell(report: Report) -> None:
    """To people."""
    if report.load is not None:
        _tell_tokens(report, report.load)
    if report.schedules is not None:
        if report.load is not None:
            say("")
        _tell_schedules(report.schedules)


def _tell_tokens(report: Report, load: Load) -> None:
    say(_headline(load))
    say("")
    print_table(
        (
            "provider",
            "integrations",
            "refreshes",
            "needs/s",
            "peak/s",
            "by chance/s",
            "at",
            "99 % late by",
            "latest",
            "token over",
        ),
        [_row(one) for one in load.figures],
        empty="",
    )
    _tell_curves(load)
    for one in report.advice:
        _tell_options(one)
    say("")
    for one in report.advice:
        say(one.says)
    if report.slots_advice:
        say(report.slots_advice)
    if report.rehearsal is not None:
        _tell_rehearsal(report.rehearsal)


def _headline(load: Load) -> str:
    plan = load.plan
    come = f"over {format_duration(plan.connected_over)}" if plan.connected_over else "at once"
    tokens = {"new": "new tokens", "any-age": "tokens of any age", "unknown": "tokens of unknown age"}[plan.tokens]
    return (
        f"{count(plan.integrations, 'integration')} for {_minutes(plan.minutes)}, connected {come} with {tokens}. "
        f"{count(plan.workers, 'worker')}, {plan.concurrency:,} jobs at once in each, {format_duration(plan.latency)} "
        "a refresh."
    )


def _row(one: Figures) -> tuple[object, ...]:
    return (
        one.provider,
        one.integrations,
        round(one.refreshes),
        rough(one.needs_per_s),
        rough(one.peak_per_s),
        rough(one.chance_per_s),
        _after(one.peak_at),
        _span(one.late_p99),
        _span(one.latest),
        round(one.too_late),
    )


def _tell_curves(load: Load) -> None:
    minutes = load.plan.minutes
    each = -(-minutes // ACROSS)
    width = max(len(slug) for slug in load.curves)
    say(f"\nThe busiest second of each {_minutes(each)}:")
    for slug, curve in load.curves.items():
        say(_line(slug, width, columns(curve.peak_per_s, ACROSS), "/s"))
    say("\nThe hour around the busiest second, minute by minute:")
    for slug, curve in load.curves.items():
        say(_line(slug, width, _busiest_hour(curve), "/s"))


def _line(name: str, width: int, values: Sequence[float], unit: str) -> str:
    return f"{name:<{width}}  {sparkline(values):<{ACROSS}}  {rough(max(values, default=0))}{unit}"


def _busiest_hour(curve: Curve) -> Sequence[float]:
    first = max(0, min(curve.busiest - BEFORE_PEAK, len(curve.peak_per_s) - HOUR))
    return curve.peak_per_s[first : first + HOUR]


def _tell_options(advice: Advice) -> None:
    say("")
    rows = [
        (one.what, rough(one.peak_per_s), _span(one.latest), round(one.too_late), one.at_once) for one in advice.options
    ]
    print_table((f"{advice.provider}: what if", "peak/s", "latest", "token over", "slots needed"), rows, empty="")


def _tell_rehearsal(rehearsal: Rehearsal) -> None:
    say(
        f"\nRehearsed: {count(sum(part.integrations for part in rehearsal.parts), 'integration')} through "
        f"{count(rehearsal.workers, 'real worker')} for {_minutes(rehearsal.minutes)} of virtual time, with limits and "
        f"slots in proportion; {count(rehearsal.snoozes, 'snooze')}. In brackets what was worked out for them."
    )
    rows = [
        (
            part.provider,
            f"{part.refreshes:,} ({part.expected_refreshes:,.0f})",
            f"{part.late_p99:,.1f} ({part.expected_p99:,})",
            f"{part.latest:,.1f} ({part.expected_latest:,})",
        )
        for part in rehearsal.parts
    ]
    print_table(("provider", "refreshes", "99 % late by, s", "latest, s"), rows, empty="")


def _tell_schedules(slots: Slots) -> None:
    hours = len(slots.per_hour)
    say(
        f"{count(len(slots.made), 'schedule')}, {count(slots.jobs, 'job')} in {count(hours, 'hour')} "
        f"from {slots.start:%Y-%m-%d %H:%M} UTC."
    )
    say("")
    rows = [
        (one.schedule, one.when, one.job, one.queue, one.jobs, rough(one.jobs / hours), one.most_in_a_minute)
        for one in slots.made
    ]
    print_table(
        ("schedule", "when", "job", "queue", "jobs", "an hour", "most in a minute"),
        rows,
        empty="The app has no schedules.",
    )
    if slots.jobs:
        say("\nJobs of each hour, the busiest of each column:")
        say(f"{sparkline(columns(slots.per_hour, ACROSS))}  {max(slots.per_hour):,} in an hour")
    if slots.piles:
        say("")
        piles = [(", ".join(one.schedules), one.jobs, one.times, one.first) for one in slots.piles]
        print_table(("in the same minute", "jobs", "times", "first, UTC"), piles, empty="")


def draw(report: Report) -> str:
    """As an SVG document."""
    return svg(list(_panels(report)))


def _panels(report: Report) -> Iterator[Panel]:
    if (load := report.load) is not None:
        curves, ticks = load.curves.items(), _ticks(timedelta(minutes=load.plan.minutes))
        rates = [Series(slug, columns(curve.peak_per_s, FINE)) for slug, curve in curves]
        yield Panel("Refreshes a second, in the busiest second of each stretch", rates, ticks)
        hours = [Series(slug, _busiest_hour(curve)) for slug, curve in curves]
        yield Panel(
            "Refreshes a second, in the hour around the busiest second of each", hours, _ticks(timedelta(hours=1))
        )
        late = [Series(slug, columns(curve.latest, FINE)) for slug, curve in curves]
        yield Panel("How late the latest refresh begins, in seconds", late, ticks)
    if (slots := report.schedules) is not None:
        jobs = [Series("schedules", columns(slots.per_hour, FINE))]
        yield Panel("Jobs of schedules in an hour", jobs, _ticks(timedelta(hours=len(slots.per_hour))))


def _ticks(duration: timedelta) -> list[tuple[float, str]]:
    return [(number / TICKS, rough_duration(duration * number / TICKS)) for number in range(TICKS + 1)]


def as_json(report: Report) -> dict[str, Any]:
    """For programs: durations in seconds, rates per second."""
    answer: dict[str, Any] = {"good": report.is_good}
    if (load := report.load) is not None:
        each = -(-load.plan.minutes // FINE)
        answer |= {
            "plan": load.plan,
            "providers": load.figures,
            "advice": report.advice,
            "slots_advice": report.slots_advice,
            "stretch": 60 * each,
            "peak_per_s": {slug: columns(curve.peak_per_s, FINE) for slug, curve in load.curves.items()},
            "latest": {slug: columns(curve.latest, FINE) for slug, curve in load.curves.items()},
            "rehearsal": report.rehearsal,
        }
    if report.schedules is not None:
        answer["schedules"] = report.schedules
    plain: dict[str, Any] = _plain(answer)
    return plain


def _plain(value: Any) -> Any:
    match value:
        case msgspec.Struct():
            return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case timedelta():
            return value.total_seconds()
        case float():
            return round(value, 3)
        case _:
            return value


def _minutes(number: int) -> str:
    return format_duration(timedelta(minutes=number))


def _span(seconds: int) -> str:
    return rough_duration(timedelta(seconds=seconds)) if seconds else "-"


def _after(seconds: int) -> str:
    """How long after the beginning."""
    return f"+{seconds // 3600}:{seconds // 60 % 60:02}"
