"""Flow control as data and arithmetic: limits by key, breakers, and the shares of tenants.

All in whole numbers (microseconds, and thousandths of a job), so that every store comes to the same answer. Rules are
records that processes share: of kind LIMIT by the limit's name, of kind QUEUE by the queue's, of kind TENANT by the
tenant's. A limit `provider` has a gate for each of its keys, such as `provider:google`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from lamplighter.core.clock import maybe_from_us

LIMIT, QUEUE, TENANT = "limit", "queue", "tenant"

JOB = 1000
"""What one job is charged, divided by its tenant's weight. Where run time counts, that is a second."""
LOOK_AGAIN = 1_000_000
"""Microseconds after which a gate that is open, and has jobs waiting all the same, is looked at again."""
AT_ONCE = 0
MOST_PARKED = 1000
"""Jobs that one claim finds to be before a shut gate, and puts there."""
MOST_LET_GO = 1000
"""Jobs that are let go at once, of one queue before one gate."""
UNBOUNDED = 2**31 - 1

GateState = Literal["closed", "open", "half-open"]  # as of a breaker: closed lets jobs through
OrderVerb = Literal["penalize", "open", "close"]


class GateRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a limit allows at each of its keys.

    running: so many jobs at once. interval, burst: GCRA's emission interval, and how many may start together.
    percent, at_least, within, open_for, longest: a breaker, which opens when of at least so many attempts that ended
    within a time, so many in a hundred failed; for a time that doubles up to the longest.
    """

    running: Annotated[int, Meta(ge=0)] | None = None
    interval: Annotated[int, Meta(ge=1)] | None = None
    burst: Annotated[int, Meta(ge=1)] = 1
    percent: int | None = None
    at_least: int = 10
    within: int = 60_000_000
    open_for: int = 30_000_000
    longest: int = 600_000_000

    @property
    def tolerance(self) -> int:
        """How far GCRA's theoretical arrival time may be ahead."""
        return (self.interval or 0) * (self.burst - 1)


class QueueRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a queue is shared, and how many jobs may wait in it.

    charge: tenants are charged for each job, or for the time that it ran. most, most_per_tenant: jobs that wait, in all
    and of one tenant. drop: the oldest make room for the new; otherwise what does not fit is refused.
    """

    charge: Literal["jobs", "time"] = "jobs"
    most: int | None = None
    most_per_tenant: int | None = None
    drop: bool = False


class TenantRule(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of a queue is a tenant's, compared with others."""

    weight: Annotated[int, Meta(ge=1, le=100)] = 1


class Order(NamedTuple):
    """What a handler or an operator has a gate do.

    penalize: let nobody through until then. open: let nobody through, until then or (None) until it is closed by hand.
    close: let jobs through again, and forget what failed.
    """

    key: str
    verb: OrderVerb
    until: datetime | None = None


class Gate(Struct, kw_only=True):
    """What a store knows of one key of a limit.

    running: jobs that hold a slot. tat: GCRA's theoretical arrival time. until: nobody goes before.
    openings: how often the breaker opened since it was last closed. probing: one job is through to try. held: open
    until an operator closes it. oks, bads, since: how attempts ended since when. told: whether `sweep` told last that
    it is open.
    """

    key: str
    running: int = 0
    tat: int = 0
    until: int = 0
    openings: int = 0
    probing: bool = False
    held: bool = False
    oks: int = 0
    bads: int = 0
    since: int = 0
    told: bool = False

    @property
    def limit(self) -> str:
        """The name of the limit that it belongs to."""
        return limit_of(self.key)

    @property
    def is_open(self) -> bool:
        """Whether its breaker is not closed."""
        return self.held or self.openings > 0

    def state(self, now: int) -> GateState:
        """As people see it."""
        if not self.is_open:
            return "closed"
        return "open" if self.held or now < self.until else "half-open"

    def free(self, rule: GateRule, now: int) -> int:
        """How many jobs it would let through now."""
        if self.held or now < self.until:
            return 0
        free = UNBOUNDED
        if rule.running is not None:
            free = rule.running - self.running
        if rule.interval is not None:
            ahead = max(self.tat, now) - now
            free = min(free, (rule.tolerance - ahead) // rule.interval + 1)
        if self.openings:
            free = min(free, 1 - self.probing)
        return max(0, free)

    def opens_at(self, rule: GateRule) -> int | None:
        """When time alone opens it; None where a job has to end first, or an operator to close the breaker."""
        full = rule.running is not None and self.running >= rule.running
        if full or self.held or (self.openings and self.probing):
            return None
        return max(self.until, self.tat - rule.tolerance)

    def look_at(self, rule: GateRule, now: int) -> int | None:
        """When to see again whether those who wait may go."""
        return now + LOOK_AGAIN if self.free(rule, now) else self.opens_at(rule)

    def take(self, rule: GateRule, now: int) -> None:
        """Let one job through."""
        self.running += 1
        if rule.interval is not None:
            self.tat = max(self.tat, now) + rule.interval
        if self.openings:
            self.probing = True

    def settle(self, rule: GateRule, freed: int, oks: int, bads: int, now: int) -> None:
        """So many jobs have ended, some of them well or badly."""
        self.running = max(0, self.running - freed)
        if self.openings:
            self._end_probe(rule, oks, bads, now)
        elif rule.percent is not None:
            self._count(rule, oks, bads, now)

    def obey(self, order: Order, until: int | None, rule: GateRule, now: int) -> None:
        """Do what a handler or an operator wants."""
        if order.verb == "close":
            self.close(now)
            self.until = 0
            self.tat = min(self.tat, now)
            return
        self.until = max(self.until, until or 0)
        if order.verb == "penalize":
            self.tat = max(self.tat, self.until + rule.tolerance)  # or a whole burst would follow at that moment
            return
        self.openings += 1
        self.probing = False
        self.held = self.held or until is None

    def open(self, rule: GateRule, now: int) -> None:
        """Let nobody through for a while, longer with each time in a row."""
        lasts = min(rule.longest, rule.open_for << min(self.openings, 30))
        self.openings += 1
        self.until = max(self.until, now + lasts)
        self.probing = False
        self.oks = self.bads = 0

    def close(self, now: int) -> None:
        """Let jobs through."""
        self.openings = 0
        self.probing = self.held = False
        self.oks = self.bads = 0
        self.since = now

    def is_idle(self, rule: GateRule, now: int) -> bool:
        """Whether it may be forgotten: a new gate would do the same."""
        counted = self.oks + self.bads and now < self.since + rule.within
        return not (self.running or self.is_open or self.told or counted) and max(self.until, self.tat) <= now

    def view(self, rule: GateRule, waiting: int, now: int) -> GateView:
        """As people see it, with so many jobs waiting before it."""
        return GateView(
            key=self.key,
            rule=rule,
            state=self.state(now),
            running=self.running,
            waiting=waiting,
            opens_at=None if self.free(rule, now) else maybe_from_us(self.opens_at(rule)),
            openings=self.openings,
            held=self.held,
            oks=self.oks,
            bads=self.bads,
        )

    def _end_probe(self, rule: GateRule, oks: int, bads: int, now: int) -> None:
        """Those that were sent before it opened decide nothing while it is open."""
        if self.held or now < self.until:
            return
        if bads:
            self.open(rule, now)
        elif oks:
            self.close(now)
        else:
            self.probing = False

    def _count(self, rule: GateRule, oks: int, bads: int, now: int) -> None:
        if now >= self.since + rule.within:
            self.oks = self.bads = 0
            self.since = now
        self.oks += oks
        self.bads += bads
        total = self.oks + self.bads
        if bads and total >= rule.at_least and self.bads * 100 >= (rule.percent or 0) * total:
            self.open(rule, now)


class GateView(Struct, frozen=True, kw_only=True):
    """A gate as people see it. `opens_at`: when time alone opens it, if it is shut; `waiting`: jobs before it."""

    key: str
    rule: GateRule
    state: GateState
    running: int
    waiting: int
    opens_at: datetime | None
    openings: int
    held: bool
    oks: int
    bads: int


class ShareView(Struct, frozen=True, kw_only=True):
    """The line of one tenant in a queue and priority: how many jobs may be claimed, and its tag: the lowest is next."""

    queue: str
    priority: int
    tenant: str
    queued: int
    tag: int


class Turned(NamedTuple):
    """A breaker that opened, or closed again."""

    key: str
    opened: bool


def limit_of(key: str) -> str:
    """The name of the limit that a key belongs to."""
    return key.partition(":")[0]


def charge_of(weight: int) -> int:
    """What a tenant of this weight is charged for a job."""
    return JOB // weight


def charge_for(ran: int, weight: int) -> int:
    """What is charged on top once it is known that a job ran for so many microseconds."""
    return max(0, ran) // 1000 // weight - charge_of(weight)
