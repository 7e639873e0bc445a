"""The course of an alert, as a pure function: pending while it is bad for not long enough, firing, resolved.

    (good) -> pending -> firing -> resolved -> pending ...
                 |
                 +-> (good)

Whoever looked earlier than what is known changes nothing: of several processes that look at once one may come late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from lamplighter.families.alerting.kinds import Bad, Rule, Severity

State = Literal["pending", "firing", "resolved"]
Event = Literal["alert.firing", "alert.resolved"]
Key = tuple[str, str]  # rule and subject
Found = Mapping[str, Sequence[Bad] | None]  # by rule; None: that could not be seen


class Alert(Struct, frozen=True, kw_only=True):
    """One rule about one subject. `since`: since when it is bad, which names the episode; `seen_at`: when somebody last
    looked; `good_since`: it fires still, but was seen well since then; `told`: people were sent a message of it."""

    rule: str
    subject: str
    severity: Severity
    state: State
    since: datetime
    seen_at: datetime
    value: float
    says: str
    fired_at: datetime | None = None
    good_since: datetime | None = None
    resolved_at: datetime | None = None
    told: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it is not over."""
        return self.state != "resolved"


def when_bad(known: Alert | None, bad: Bad, rule: Rule, now: datetime) -> Alert:
    """What becomes of it, now that it was seen to be bad."""
    if known is not None and now <= known.seen_at:
        return known
    state, since = (known.state, known.since) if known is not None and known.is_live else ("pending", now)
    seen = Alert(
        rule=rule.name,
        subject=bad.subject,
        severity=rule.severity,
        state=state,
        since=since,
        seen_at=now,
        value=bad.value,
        says=bad.says,
        fired_at=known.fired_at if known is not None and state == "firing" else None,
        told=known is not None and state == "firing" and known.told,
    )
    if state == "pending" and now - since >= rule.lasts:
        return replace(seen, state="firing", fired_at=now)
    return seen


def when_good(known: Alert, calm: timedelta, now: datetime) -> Alert | None:
    """What becomes of it, now that it was seen to be well; None: it was never more than pending, and is forgotten.

    `calm`: for how long it has to be well until it is resolved, or one good look would end what comes and goes.
    """
    if not known.is_live or now <= known.seen_at:
        return known
    if known.state == "pending":
        return None
    good_since = known.good_since or now
    if now - good_since >= calm:
        return replace(known, state="resolved", seen_at=now, good_since=good_since, resolved_at=now)
    return replace(known, seen_at=now, good_since=good_since)


def to_tell(before: Alert | None, after: Alert | None, *, silenced: bool) -> tuple[Alert | None, Event | None]:
    """The same alert with what people know of it, and what they are to be told now, if anything.

    What fires while it is silenced is told when that ends, if it still fires; what nobody was told of is not said to be
    resolved.
    """
    if after is None or silenced:
        return after, None
    if after.state == "firing" and not after.told:
        return replace(after, told=True), "alert.firing"
    if after.state == "resolved" and after.told and before is not None and before.state == "firing":
        return after, "alert.resolved"
    return after, None


class Move(NamedTuple):
    """What an alert was and is now (None: it is not there), and what people are to be told of it."""

    before: Alert | None
    after: Alert | None
    event: Event | None


def moves(
    known: Mapping[Key, Alert],
    rules: Sequence[Rule],
    found: Found,
    *,
    calm: timedelta,
    now: datetime,
    is_silenced: Callable[[Alert], bool],
) -> list[Move]:
    """What becomes of all alerts after one look. A rule that is off, or gone, finds nothing bad."""
    went = [*_bad(known, rules, found, now), *_good(known, rules, found, calm, now)]
    told = [(before, *to_tell(before, after, silenced=after is None or is_silenced(after))) for before, after in went]
    return [Move(before, after, event) for before, after, event in told if after != before]


def _bad(
    known: Mapping[Key, Alert], rules: Sequence[Rule], found: Found, now: datetime
) -> Iterator[tuple[Alert | None, Alert]]:
    for rule in rules:
        for bad in found.get(rule.name) or ():
            before = known.get((rule.name, bad.subject))
            yield before, when_bad(before, bad, rule, now)


def _good(
    known: Mapping[Key, Alert], rules: Sequence[Rule], found: Found, calm: timedelta, now: datetime
) -> Iterator[tuple[Alert, Alert | None]]:
    unseen = {rule.name for rule in rules if rule.enabled and found.get(rule.name) is None}
    bad = {(name, one.subject) for name, several in found.items() for one in several or ()}
    calms = {rule.name: calm * rule.calms for rule in rules}
    for key, before in known.items():
        if before.is_live and key not in bad and before.rule not in unseen:
            yield before, when_good(before, calms.get(before.rule, calm), now)
