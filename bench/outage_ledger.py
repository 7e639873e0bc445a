"""What became of every refresh, found out from rows of integrations that are looked at again and again. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from lamplighter.core.clock import from_us


class Row(NamedTuple):
    """An integration as it is in the database; times in microseconds."""

    id: str
    provider_slug: str
    token_version: int
    issued_at: int
    expires_at: int
    refresh_at: int | None
    status: str


class Seen(NamedTuple):
    """The last tokens of an integration."""

    provider: str
    version: int
    expires_at: datetime
    refresh_at: datetime
    status: str


class Refresh(NamedTuple):
    """One refresh: when it was due, when the provider was asked, and when the tokens before ended."""

    provider: str
    due_at: datetime
    asked_at: datetime
    ended_at: datetime

    @property
    def lateness(self) -> timedelta:
        """How long after its time it was asked for."""
        return max(self.asked_at - self.due_at, timedelta())


class Lapse(NamedTuple):
    """Tokens that ended before the next were asked for."""

    provider: str
    at: datetime


class Ledger:
    """Give it every row that changed, often enough that no two refreshes of one integration lie in between."""

    def __init__(self) -> None:
        self.refreshes: list[Refresh] = []
        self.lapses: list[Lapse] = []
        self.missed = 0  # refreshes that no look saw, so that nothing is known of them
        self._last: dict[str, Seen] = {}

    def look(self, rows: Iterable[Row]) -> None:
        """Note what is new."""
        for row in rows:
            now = Seen(
                row.provider_slug, row.token_version, from_us(row.expires_at), from_us(row.refresh_at or 0), row.status
            )
            before = self._last.get(row.id, now)
            if now.version == before.version + 1:
                self._refreshed(before, from_us(row.issued_at))
            self.missed += max(0, now.version - before.version - 1)
            self._last[row.id] = now

    def close(self, now: datetime) -> None:
        """Tokens that could be refreshed, and have ended by now, have lapsed."""
        left = [one for one in self._last.values() if one.status != "revoked" and one.expires_at < now]
        self.lapses += [Lapse(one.provider, one.expires_at) for one in left]

    def count(self, status: str) -> int:
        """How many are in that status."""
        return sum(one.status == status for one in self._last.values())

    def _refreshed(self, before: Seen, asked_at: datetime) -> None:
        self.refreshes.append(Refresh(before.provider, before.refresh_at, asked_at, before.expires_at))
        if before.expires_at < asked_at:
            self.lapses.append(Lapse(before.provider, before.expires_at))


def p99(values: Iterable[timedelta]) -> float:
    """Of so many times, the longest but for one in a hundred, in seconds; 0 of none."""
    ordered = sorted(values)
    return ordered[math.ceil(len(ordered) * 0.99) - 1].total_seconds() if ordered else 0.0
