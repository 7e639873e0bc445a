"""Limits as an app declares them: how many jobs of a key at once, how often, and when to leave it alone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from msgspec import Struct

from lamplighter.core.clock import MICROSECOND
from lamplighter.core.errors import ConfigError
from lamplighter.core.flow_control import GateRule, QueueRule, TenantRule

LONGEST = timedelta(days=30)
MOST = 1_000_000
MOST_WAITING = 1_000_000_000
HEAVIEST = 100

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")
WhenFull = Literal["refuse", "drop-oldest"]


class Rate(Struct, frozen=True):
    """At most `count` jobs start in any `per` (seconds, or a timedelta); `burst` of them may start together.

    What a burst spends at once, the rest of the time goes without: so no window holds more than `count`.
    """

    count: int
    per: float | timedelta = 1
    burst: int = 1


class Breaker(Struct, frozen=True, kw_only=True):
    """Leave a key alone while it keeps failing.

    Once `at_least` attempts ended `within` a time and `ratio` of them failed, it opens: jobs wait, and spend no
    attempt. After `open_for`, one job tries. If that goes well it closes, else it opens again for twice as long, up to
    `longest`.
    """

    ratio: float = 0.5
    at_least: int = 10
    within: timedelta = timedelta(minutes=1)
    open_for: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(minutes=10)


def gate_rule(name: str, *, running: int | None, rate: Rate | None, breaker: Breaker | None) -> GateRule:
    """What a limit of that name allows at each of its keys.

    Raises:
        ConfigError: the name or a number cannot be.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a limit cannot be named {name!r}: give 1 to 80 letters, digits, '.', '_' or '-'.")
    if running is None and rate is None and breaker is None:
        raise ConfigError(f"the limit {name!r} limits nothing: give it running=, rate= or breaker=.")
    fields: dict[str, int] = {}
    if running is not None:
        fields["running"] = _whole(f"running of the limit {name!r}", running, MOST)
    if rate is not None:
        fields |= _rate_fields(name, rate)
    if breaker is not None:
        fields |= _breaker_fields(name, breaker)
    return GateRule(**fields)


def queue_rule(
    name: str,
    *,
    charge: Literal["jobs", "time"],
    most_waiting: int | None,
    most_waiting_per_tenant: int | None,
    when_full: WhenFull,
) -> QueueRule:
    """How a queue of that name is shared and bounded.

    Raises:
        ConfigError: a value cannot be.
    """
    if charge not in {"jobs", "time"}:
        raise ConfigError(f"charge={charge!r} of the queue {name!r} is neither 'jobs' nor 'time': change it.")
    if when_full not in {"refuse", "drop-oldest"}:
        raise ConfigError(f"when_full={when_full!r} of the queue {name!r} is neither 'refuse' nor 'drop-oldest'.")
    for what, most in (("most_waiting", most_waiting), ("most_waiting_per_tenant", most_waiting_per_tenant)):
        if most is not None:
            _whole(f"{what} of the queue {name!r}", most, MOST_WAITING)
    return QueueRule(
        charge=charge, most=most_waiting, most_per_tenant=most_waiting_per_tenant, drop=when_full == "drop-oldest"
    )


def tenant_rule(tenant: str, weight: int) -> TenantRule:
    """The weight of a tenant.

    Raises:
        ConfigError: it cannot be.
    """
    return TenantRule(weight=_whole(f"the weight of tenant {tenant!r}", weight, HEAVIEST))


def _rate_fields(name: str, rate: Rate) -> dict[str, int]:
    count = _whole(f"the rate of the limit {name!r}", rate.count, MOST)
    burst = _whole(f"the burst of the limit {name!r}", rate.burst, count)
    per = rate.per if isinstance(rate.per, timedelta) else timedelta(seconds=rate.per)
    per = _within(f"the time of the rate of the limit {name!r}", per)
    # GCRA lets burst + window / interval start in a window. Rounded up, for rounding must not add one.
    return {"interval": -(-(per // MICROSECOND) // (count - burst + 1)), "burst": burst}


def _breaker_fields(name: str, breaker: Breaker) -> dict[str, int]:
    percent = round(breaker.ratio * 100)
    if not 1 <= percent <= 100:
        raise ConfigError(f"the breaker of the limit {name!r} opens at ratio={breaker.ratio}: give 0.01 to 1.")
    whose = f"of the breaker of the limit {name!r}"
    return {
        "percent": percent,
        "at_least": _whole(f"at_least {whose}", breaker.at_least, MOST),
        "within": _within(f"within {whose}", breaker.within) // MICROSECOND,
        "open_for": _within(f"open_for {whose}", breaker.open_for) // MICROSECOND,
        "longest": _within(f"longest {whose}", breaker.longest) // MICROSECOND,
    }


def _whole(what: str, number: object, most: int) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
        raise ConfigError(f"{what} is {number!r:.60}: give a whole number from 1 to {most:,}.")
    return number


def _within(what: str, time: timedelta) -> timedelta:
    if not timedelta(milliseconds=1) <= time <= LONGEST:
        raise ConfigError(f"{what} is {time}: give between a millisecond and 30 days.")
    return time
