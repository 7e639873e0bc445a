"""The kinds of rules: each says what is bad in a sight, and nothing else. Adding one is a class here.

A rule of a kind is one line of the family's file: several may be of one kind, for some queues each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal, NamedTuple

from msgspec import Meta, Struct

from lamplighter.core.duration import format_duration, rough_duration
from lamplighter.families.alerting.sight import Seen
from lamplighter.observe.histogram import quantile
from lamplighter.observe.history.slot import ALL, Tally

Severity = Literal["warning", "critical"]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Pattern = Annotated[str, Meta(min_length=1, max_length=200)]

NOBODY_HAS_IT = timedelta(days=1)  # a schedule that is over for longer: more likely no app has it any more
GIGABYTE = 1_000_000_000


class Bad(NamedTuple):
    """What is bad: of which queue, schedule or provider, how much, and in words."""

    subject: str
    value: float
    says: str


class Rule(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    forbid_unknown_fields=True,
    rename={"lasts": "for"},
):
    """What all kinds have. `lasts`: how long it has to be bad before anybody is told. `only` and `without`: of which
    subjects, as patterns such as `mail-*`."""

    calms: ClassVar[int] = 1
    """For how many intervals it has to be well until it is resolved."""

    name: str
    severity: Severity = "warning"
    enabled: bool = True
    lasts: timedelta = timedelta()
    only: tuple[Pattern, ...] = ()
    without: tuple[Pattern, ...] = ()

    def bad(self, seen: Seen) -> list[Bad] | None:
        """What is bad now; None: that cannot be told from this sight."""
        found = self.find(seen)
        return None if found is None else [one for one in found if self.is_about(one.subject)]

    def is_about(self, subject: str) -> bool:
        """Whether it looks at that queue, schedule or provider."""
        is_among = not self.only or any(fnmatchcase(subject, one) for one in self.only)
        return is_among and not any(fnmatchcase(subject, one) for one in self.without)

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        """What is bad, of whatever subject."""
        raise NotImplementedError

    @property
    def looks_back(self) -> timedelta | None:
        """How far it wants the past of queues."""
        return None


class Looking(Rule, frozen=True, kw_only=True):
    """Goes by what was done in each queue within a time."""

    within: timedelta

    @property
    def looks_back(self) -> timedelta | None:
        return self.within

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.past is None:
            return None
        return [bad for queue, tally in seen.past[self.within].items() if queue != ALL for bad in self.of(queue, tally)]

    def of(self, queue: str, tally: Tally) -> Iterator[Bad]:
        """What is bad about a queue in which that was done."""
        raise NotImplementedError


class Failing(Looking, frozen=True, kw_only=True, tag="failing"):
    """More than a share of the attempts failed for good, and at least so many."""

    above: Share
    at_least: Annotated[int, Meta(ge=1)] = 1

    def of(self, queue: str, tally: Tally) -> Iterator[Bad]:
        ended = tally.done + tally.failed + tally.retried
        if tally.failed >= self.at_least and tally.failed > self.above * ended:
            share = tally.failed / ended
            yield Bad(
                queue,
                share,
                f"{share:.0%} of the attempts in queue {queue} failed for good within {format_duration(self.within)}: "
                f"{tally.failed:,} of {ended:,}.",
            )


class Dead(Looking, frozen=True, kw_only=True, tag="dead"):
    """More than so many jobs failed for good."""

    above: Count

    def of(self, queue: str, tally: Tally) -> Iterator[Bad]:
        if tally.failed > self.above:
            yield Bad(
                queue,
                tally.failed,
                f"{_jobs(tally.failed)} of queue {queue} failed for good within {format_duration(self.within)}.",
            )


class Late(Looking, frozen=True, kw_only=True, tag="late"):
    """One in twenty attempts began later than that after it was due."""

    above: timedelta

    def of(self, queue: str, tally: Tally) -> Iterator[Bad]:
        p95 = quantile(tally.late, 0.95)
        if p95 is not None and p95 > self.above.total_seconds():
            yield Bad(
                queue,
                p95,
                f"One in twenty jobs of queue {queue} began {_long(p95)} or more after it was due, within "
                f"{format_duration(self.within)}.",
            )


class Waiting(Rule, frozen=True, kw_only=True, tag="waiting"):
    """The oldest job in line is due for longer than that."""

    above: timedelta

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.stats is None:
            return None
        oldest = [(one.queue, seen.now - one.oldest) for one in seen.stats if one.oldest is not None]
        return [
            Bad(
                queue,
                age.total_seconds(),
                f"The oldest job in queue {queue} was due {rough_duration(age)} ago.",
            )
            for queue, age in oldest
            if age > self.above
        ]


class Unserved(Rule, frozen=True, kw_only=True, tag="unserved"):
    """Jobs wait in a queue, and no living worker serves it."""

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.stats is None or seen.workers is None:
            return None
        alive = [one for one in seen.workers if one.is_alive(seen.now)]
        return [
            Bad(one.queue, one.queued, f"{_jobs(one.queued)} in line in queue {one.queue}, and no worker serves it.")
            for one in seen.stats
            if one.queued and not any(worker.takes(one.queue) for worker in alive)
        ]


class Missed(Rule, frozen=True, kw_only=True, tag="missed"):
    """A schedule's slot has been over for longer than that, and nobody made its job."""

    above: timedelta

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.crons is None:
            return None
        return [
            Bad(name, age.total_seconds(), f"Schedule {name} made no job at its slot {rough_duration(age)} ago.")
            for name, age in seen.crons.items()
            if self.above < age < NOBODY_HAS_IT
        ]


class Shut(Rule, frozen=True, kw_only=True, tag="shut"):
    """The breaker of a limit's key is open, or a provider is left alone."""

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.gates is None or seen.down is None:
            return None
        gates = [
            Bad(one.key, one.waiting, f"The breaker of {one.key} is {one.state}; {_jobs(one.waiting)} before it.")
            for one in seen.gates
            if one.state != "closed"
        ]
        providers = [
            Bad(one, 1, f"Provider {one} does not answer, and is left alone: its tokens wait for it.")
            for one in seen.down
        ]
        return gates + providers


class Lapsing(Rule, frozen=True, kw_only=True, tag="lapsing"):
    """A token ends within that, and its refresh is late."""

    within: timedelta

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.lapsing is None:
            return None
        return [
            Bad(
                provider,
                n,
                f"The tokens of {n:,} integrations of {provider} end within {format_duration(self.within)} or have "
                "ended, and their refresh is late.",
            )
            for provider, n in seen.lapsing[self.within].items()
        ]


class Refused(Rule, frozen=True, kw_only=True, tag="refused"):
    """More than so many integrations of a provider lost their access: revoked, expired, or refused."""

    above: Count
    within: timedelta

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.refused is None:
            return None
        return [
            Bad(provider, n, f"{n:,} integrations of {provider} lost access within {format_duration(self.within)}.")
            for provider, n in seen.refused[self.within].items()
            if n > self.above
        ]


class DiskFull(Rule, frozen=True, kw_only=True, tag="disk"):
    """Less than a share is free where the store's file or the journal is, and less than so many gigabytes."""

    calms: ClassVar[int] = 4  # other machines, which look too, do not see this disk, and would say that it is well
    below: Share
    below_gb: Annotated[float, Meta(ge=0)]

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.disks is None:
            return None
        return [
            Bad(
                one.folder,
                one.free / one.total,
                f"{one.free / one.total:.0%} is free where {one.folder} is: {one.free / GIGABYTE:.1f} GB.",
            )
            for one in seen.disks
            if one.total and one.free < self.below * one.total and one.free < self.below_gb * GIGABYTE
        ]


class ChainBroken(Rule, frozen=True, kw_only=True, tag="chain"):
    """A chain of the audit log was verified, and is not what was sealed."""

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.broken is None:
            return None
        return [
            Bad(tenant, 1, f"The audit log of {tenant} is not what was sealed: {what}")
            for tenant, what in seen.broken.items()
        ]


class Unarchived(Rule, frozen=True, kw_only=True, tag="archive"):
    """A chain of the audit log cannot be archived, for longer than that."""

    above: timedelta

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.unarchived is None:
            return None
        return [
            Bad(tenant, age.total_seconds(), f"The audit log of {tenant} cannot be archived for {rough_duration(age)}.")
            for tenant, age in seen.unarchived.items()
            if age > self.above
        ]


class StoreTrouble(Rule, frozen=True, kw_only=True, tag="store"):
    """The store does not answer, or one call in a hundred takes longer than that."""

    above: timedelta

    def find(self, seen: Seen) -> Iterable[Bad] | None:
        if seen.store is None:
            return None
        error, p99 = seen.store
        if error is not None:
            return [Bad("store", 1, f"The store does not answer: {error}")]
        if p99 is not None and p99 > self.above.total_seconds():
            return [Bad("store", p99, f"One call of the store in a hundred takes {_long(p99)} or more.")]
        return []


AnyRule = (
    Failing
    | Dead
    | Late
    | Waiting
    | Unserved
    | Missed
    | Shut
    | Lapsing
    | Refused
    | DiskFull
    | ChainBroken
    | Unarchived
    | StoreTrouble
)


def windows(rules: Sequence[AnyRule]) -> set[timedelta]:
    """How far back the past of queues is wanted."""
    return {back for one in rules if one.enabled and (back := one.looks_back)}


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


def _long(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else rough_duration(timedelta(seconds=seconds))
