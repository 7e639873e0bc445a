"""What would flatten a provider's load, what that costs, and whether anything needs to be done at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from lamplighter.capacity.load import Figures, Load, simulate
from lamplighter.capacity.plan import LONGEST, Crowd, Plan
from lamplighter.capacity.window import Window
from lamplighter.core.duration import rough_duration
from lamplighter.integrations.provider import MOST_AT_ONCE

CYCLES = 3  # what came together is flattest to be seen in its first rounds; later ones repeat them
TRIES = 14  # halvings on the way to a limit: well below its last shown digit
RUNS = TRIES + 7  # of the model for one provider, at most
ROOM = 1.25  # of a limit, over what is needed in the long run: a tenth of it is lost to bursts
SPARE = 1.5  # of slots, for answers that take longer than most
IMMEDIATE = timedelta(milliseconds=1)


class Option(Struct, frozen=True, kw_only=True):
    """One way to run a provider's refreshes, and what comes of it. `limit`: of each worker process, where it sets one;
    `at_once`: what it then needs in each, as `max_concurrency` and as slots."""

    what: str
    peak_per_s: float
    latest: int
    too_late: float
    limit: float | None = None
    at_once: int | None = None


class Advice(Struct, frozen=True, kw_only=True):
    """What was compared for one provider, and what follows from that."""

    provider: str
    options: tuple[Option, ...]
    says: str


def advise(plan: Plan, crowd: Crowd, as_planned: Figures, *, step: Callable[[], None] = lambda: None) -> Advice:
    """Compare ways to refresh one provider's integrations, each as if it were alone and had all the slots it needs.

    `step` is called after each of them is worked out.
    """
    tried = _Trial(plan, crowd, step)
    planned = _option("as planned", as_planned)
    options = [tried.without_jitter(), tried.without_limit(), planned]
    limit, spread = tried.limited(), tried.spread()
    options += [one for one in (tried.keeping_up(), limit, spread) if one is not None]
    return Advice(
        provider=crowd.slug, options=tuple(options), says=" ".join(_sentences(crowd, as_planned, limit, spread))
    )


def advise_slots(load: Load) -> str | None:
    """What to do where the workers have too few slots for all providers together; None where they have enough."""
    plan = load.plan
    needs = sum(one.needs_per_s for one in load.figures)
    if needs <= plan.slots_per_s:
        return None
    enough = math.ceil(needs * ROOM * plan.latency.total_seconds())
    return (
        f"All providers together need {_rate(needs)}, and the slots of all workers let {_rate(plan.slots_per_s)} "
        f"through: give them {enough:,} slots in all, by a higher concurrency or more workers."
    )


class _Trial:
    """One provider of a plan alone, for its first rounds. Slots are never short: the limit alone counts."""

    def __init__(self, plan: Plan, crowd: Crowd, step: Callable[[], None]) -> None:
        self._cycle = Window.of(crowd.lifetime).cycle
        self._plan = plan
        self._crowd = crowd
        self._step = step
        self._natural: Figures = self._run(limit=None)

    def without_jitter(self) -> Option:
        """Not to be had: it shows what the jitter is worth."""
        return _option("no limit and no jitter", self._run(limit=None, jitter=False))

    def without_limit(self) -> Option:
        """As tokens come due."""
        return _option("no limit", self._natural)

    def keeping_up(self) -> Option | None:
        """A limit that is enough in the long run, with some room: what came together waits for its turn once."""
        limit = _digits(self._natural.needs_per_s * ROOM)
        if limit >= self._natural.peak_per_s or limit > self._most:
            return None
        return self._with_limit(limit, "keeps up")

    def limited(self) -> Option | None:
        """The lowest limit at which no token is over; where none is enough, the highest that there may be."""
        if not self._natural.peak_per_s:
            return None
        if not self._is_enough(self._most):
            return self._with_limit(self._most, "the highest there may be")
        return self._with_limit(self._lowest(), "the lowest that is in time")

    def spread(self) -> Option | None:
        """Integrations that are connected over one round, without a limit; None where they come over a longer time."""
        over = timedelta(minutes=math.ceil(self._cycle / 60))
        if self._plan.connected_over >= over or over > LONGEST:
            return None
        figures = self._run(limit=None, over=over)
        return _option(f"connected over {_long(over)}, no limit", figures)

    @property
    def _most(self) -> float:
        """The highest limit that can be set in each worker, and is within the quota."""
        quota = self._crowd.quota
        return MOST_AT_ONCE if quota is None else min(MOST_AT_ONCE, quota / self._plan.workers)

    def _with_limit(self, limit: float, why: str) -> Option:
        slots = math.ceil(limit * self._plan.latency.total_seconds() * SPARE)
        return _option(f"limit {limit:g}/s: {why}", self._run(limit=limit), limit=limit, at_once=max(1, slots))

    def _lowest(self) -> float:
        most = self._most
        least = min(most, self._natural.needs_per_s / self._plan.workers / 2)
        for _ in range(TRIES):
            middle = math.sqrt(least * most)
            if self._is_enough(middle):
                most = middle
            else:
                least = middle
        return min(self._most, _digits(most))

    def _is_enough(self, limit: float) -> bool:
        return self._run(limit=limit).too_late < 0.5

    def _run(self, *, limit: float | None, jitter: bool = True, over: timedelta | None = None) -> Figures:
        over = self._plan.connected_over if over is None else over
        rounds = over + CYCLES * timedelta(seconds=math.ceil(self._cycle))
        crowd = replace(self._crowd, limit=limit, at_once=MOST_AT_ONCE, jitter=jitter)
        plan = replace(
            self._plan,
            crowds=(crowd,),
            connected_over=over,
            duration=min(self._plan.duration, rounds),
            concurrency=MOST_AT_ONCE,
            latency=IMMEDIATE,
        )
        [figures] = simulate(plan).figures
        self._step()
        return figures


def _option(what: str, figures: Figures, *, limit: float | None = None, at_once: int | None = None) -> Option:
    return Option(
        what=what,
        peak_per_s=figures.peak_per_s,
        latest=figures.latest,
        too_late=figures.too_late,
        limit=limit,
        at_once=at_once,
    )


def _sentences(crowd: Crowd, planned: Figures, limit: Option | None, spread: Option | None) -> Iterator[str]:
    slug, quota = crowd.slug, crowd.quota
    if not planned.peak_per_s:
        yield f"{slug}: none of its tokens comes due in this time, so simulate a longer one."
        return
    if quota is not None and planned.needs_per_s > quota:
        yield (
            f"{slug}: so many tokens need {_rate(planned.needs_per_s)} in the long run, and its quota is "
            f"{_rate(quota)}: ask the provider for more, since no limit can help."
        )
        return
    problems = list(_problems(crowd, planned))
    if not problems:
        within = "" if quota is None else f", within its quota of {_rate(quota)}"
        peak = _rate(planned.peak_per_s)
        yield f"{slug}: nothing needs to change: {peak} in its busiest second{within}, {_late(planned)}."
        return
    yield f"{slug}: {' and '.join(problems)}."
    if limit is not None:
        yield (
            f"Set max_per_second to {limit.limit:g}, and max_concurrency and the worker's concurrency to "
            f"{limit.at_once:,} or more: {_outcome(limit)}."
        )
    if spread is not None:
        yield f"Or {spread.what.partition(',')[0]}: {_outcome(spread)}."


def _problems(crowd: Crowd, planned: Figures) -> Iterator[str]:
    if crowd.quota is not None and planned.chance_per_s > crowd.quota:
        yield f"up to {_rate(planned.chance_per_s)} is more than its quota of {_rate(crowd.quota)}"
    if planned.too_late < 0.5:
        return
    through = planned.lets_through_per_s
    if planned.needs_per_s > through:
        yield (
            f"its tokens run out for good, because they need {_rate(planned.needs_per_s)} and no more than "
            f"{_rate(through)} get through while any wait"
        )
    else:
        yield f"{planned.too_late:,.0f} refreshes come after their token is over, for too many are due together"


def _outcome(option: Option) -> str:
    over = f", {option.too_late:,.0f} tokens are over before" if option.too_late >= 0.5 else ", and no token runs out"
    return f"{_rate(option.peak_per_s)} in the busiest second, {_late(option)}{over}"


def _late(told: Figures | Option) -> str:
    return f"the latest begins {_long(timedelta(seconds=told.latest))} late" if told.latest else "none late"


def _long(duration: timedelta) -> str:
    return rough_duration(duration)


def _rate(per_second: float) -> str:
    return f"{rough(per_second)}/s"


def rough(number: float) -> str:
    """A number as people want to know it: two digits at least, and no fraction from ten on."""
    if number >= 9.95 or not number:
        return f"{number:,.0f}"
    return f"{number:.2g}"


def _digits(number: float) -> float:
    """Rounded up to two digits."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return round(math.ceil(round(number / step, 6)) * step, 9)
