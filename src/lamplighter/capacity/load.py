"""The load that a plan makes: all its providers side by side, and what came of each."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from lamplighter.capacity.curve import MINUTE, Curve
from lamplighter.capacity.plan import Plan
from lamplighter.capacity.stream import Stream
from lamplighter.core.errors import ConfigError

TOLD_EVERY = 60  # minutes of simulated time

Step = Callable[[int, int], None]
"""Called now and then with the minutes that are simulated, and how many there will be."""


class Figures(Struct, frozen=True, kw_only=True):
    """What one provider's refreshes come to. Rates are per second and expected; lateness is in whole seconds.

    `due` = `refreshes` + `waiting`, but for rounding. `needs_per_s`: what keeps all of its tokens alive in the long
    run; `lets_through_per_s`: what limits and slots let through while refreshes wait. `peak_at`: the minute of the
    busiest second, in seconds from the beginning. `chance_per_s`: what a second
    sees by chance, about once in ten million. `too_late`: refreshes that began, or still wait, when their token was
    over. `slack`: how late a refresh may begin before it is.
    """

    provider: str
    integrations: int
    due: float
    refreshes: float
    waiting: float
    needs_per_s: float
    lets_through_per_s: float
    mean_per_s: float
    peak_per_s: float
    chance_per_s: float
    peak_at: int
    peak_per_minute: float
    late_p50: int
    late_p99: int
    latest: int
    too_late: float
    slack: int


class Load(Struct, frozen=True, kw_only=True):
    """What a plan comes to, and how it goes over time."""

    plan: Plan
    figures: tuple[Figures, ...]
    curves: dict[str, Curve]

    def of(self, provider: str) -> Figures:
        """What one provider's refreshes come to. Raises ConfigError if it is not in the plan."""
        for one in self.figures:
            if one.provider == provider:
                return one
        raise ConfigError(f"the plan has no provider {provider!r:.60}: name one of {', '.join(self.curves)}.")


def _untold(_done: int, _all: int) -> None:
    """Nobody asked."""


def simulate(plan: Plan, *, step: Step = _untold) -> Load:
    """Work out the load of a plan: amounts, second by second, without chance.

    A fluid approximation, as of queues: what is expected of very many. Outages and revoked grants are not in it.
    """
    streams = [Stream(crowd, plan) for crowd in plan.crowds]
    for minute in range(plan.minutes):
        _pass_minute(streams, minute * MINUTE, plan.slots_per_s)
        if not minute % TOLD_EVERY:
            step(minute, plan.minutes)
    return Load(
        plan=plan,
        figures=tuple(_figures(stream, plan) for stream in streams),
        curves={stream.crowd.slug: stream.curve for stream in streams},
    )


def _pass_minute(streams: list[Stream], begins: int, slots: float) -> None:
    busy = [stream for stream in streams if not stream.is_quiet(begins)]
    for stream in streams:
        if stream not in busy:
            stream.rest(begins)
    if busy:
        for second in range(begins, begins + MINUTE):
            _pass_second(busy, second, slots)
    for stream in streams:
        stream.curve.end_minute()


def _pass_second(streams: list[Stream], second: int, slots: float) -> None:
    """Where there are fewer slots than refreshes that may go, each provider has its share of them."""
    wanted = [stream.want(second) for stream in streams]
    all_ = sum(wanted)
    share = 1.0 if all_ <= slots else slots / all_
    for stream, amount in zip(streams, wanted, strict=True):
        stream.serve(second, amount * share)


def _figures(stream: Stream, plan: Plan) -> Figures:
    seconds = plan.minutes * MINUTE
    curve = stream.curve
    peak = max(curve.peak_per_s)
    return Figures(
        provider=stream.crowd.slug,
        integrations=stream.crowd.integrations,
        due=stream.due,
        refreshes=stream.served,
        waiting=stream.backlog,
        needs_per_s=stream.crowd.integrations / stream.window.cycle,
        lets_through_per_s=min(stream.alone, plan.slots_per_s),
        mean_per_s=stream.served / seconds,
        peak_per_s=peak,
        chance_per_s=_by_chance(peak, stream, plan),
        peak_at=MINUTE * curve.busiest,
        peak_per_minute=max(curve.per_minute),
        late_p50=stream.lateness.percentile(50, stream.served),
        late_p99=stream.lateness.percentile(99, stream.served),
        latest=stream.lateness.latest,
        too_late=stream.too_late + stream.over_and_waiting(seconds),
        slack=stream.window.slack,
    )


def _by_chance(expected: float, stream: Stream, plan: Plan) -> float:
    """Integrations come due independently, so the number of a second is at most as scattered as Poisson's: that one's
    upper tail of 1e-7, roughly. A limit holds in any second."""
    if not expected:
        return 0.0
    scattered = math.ceil(expected + 5 * math.sqrt(expected) + 4)
    limit = stream.crowd.limit
    return float(
        min(scattered, stream.crowd.integrations, math.inf if limit is None else math.ceil(limit) * plan.workers)
    )
