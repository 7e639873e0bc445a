"""Looks at integrations again and again, and keeps count of what became of their tokens."""

from __future__ import annotations

import math
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.events import Event
from lamplighter.integrations.integration import Integration

CANNOT_BE_REFRESHED = ("revoked", "pending")


class Change(NamedTuple):
    """An integration that is not what it was."""

    integration: Integration
    what: str


class Summary(Struct, frozen=True, kw_only=True):
    """Counts since the watch began. Lapsed: tokens that ended before the next came, though they could be refreshed.

    `p99_lateness_ms`: how long after its time a refresh began, but for one in a hundred.
    """

    integrations: int
    refreshed: int
    lapsed: int
    failed: int
    revoked: int
    p99_lateness_ms: float


class Watch:
    """Give it every look at the integrations, and every event of the app."""

    def __init__(self, clock: Clock = utcnow) -> None:
        self.integrations: list[Integration] = []
        self._clock = clock
        self._first: dict[str, int] = {}
        self._last: dict[str, Integration] = {}
        self._lapses: set[tuple[str, int]] = set()
        self._lateness: list[float] = []

    def hear(self, event: Event) -> None:
        """Note how late a refresh began."""
        if event.kind == "started" and event.name == "tokens.refresh" and event.late_ms is not None:
            self._lateness.append(max(0.0, event.late_ms))

    def look(self, integrations: list[Integration]) -> list[Change]:
        """What changed since the last look."""
        self.integrations = integrations
        changes = []
        for now in integrations:
            self._first.setdefault(now.id, now.token_version)
            before = self._last.get(now.id, now)
            what = [_what_changed(before, now), "its tokens have lapsed" if self._is_new_lapse(before, now) else ""]
            if any(what):
                changes.append(Change(now, ", ".join(filter(None, what))))
            self._last[now.id] = now
        return changes

    def _is_new_lapse(self, before: Integration, now: Integration) -> bool:
        lapse = (now.id, before.token_version)
        if lapse in self._lapses or not _lapsed(before, now, self._clock()):
            return False
        self._lapses.add(lapse)
        return True

    def summary(self) -> Summary:
        """The counts so far."""
        return Summary(
            integrations=len(self.integrations),
            refreshed=sum(now.token_version - self._first[now.id] for now in self.integrations),
            lapsed=len(self._lapses),
            failed=sum(now.status in {"error", "expired"} for now in self.integrations),
            revoked=sum(now.status == "revoked" for now in self.integrations),
            p99_lateness_ms=round(_p99(self._lateness), 1),
        )


def _lapsed(before: Integration, now: Integration, moment: datetime) -> bool:
    """Whether tokens ended before the next were asked for, or have ended and still are the last."""
    if before.expires_at is None or now.status in CANNOT_BE_REFRESHED:
        return False
    asked_at = now.issued_at if now.token_version != before.token_version else None
    return before.expires_at < (asked_at or moment)


def _what_changed(before: Integration, now: Integration) -> str:
    if now.token_version != before.token_version:
        return "refreshed"
    if now.status != before.status:
        return f"{now.status}: {now.status_reason.rstrip('.')}" if now.status_reason else now.status
    if now.outages > before.outages:
        return "provider is down"
    return ""


def _p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1] if values else 0.0
