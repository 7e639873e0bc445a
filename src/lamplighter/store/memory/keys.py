"""Who holds which unique key."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from lamplighter.core.model import Unique


class _Holder(NamedTuple):
    job: str
    until: datetime | None


class Keys:
    """Unique keys and their holders. A key is free if nobody holds it, or its period is over."""

    def __init__(self) -> None:
        self._holders: dict[str, _Holder] = {}

    def take(self, job: str, unique: Unique, now: datetime, *, parent: str | None = None) -> str:
        """Give a job its key if that is free, or is its parent's to hand on; returns who holds it then."""
        holder = self._holders.get(unique.key)
        if holder is None or holder.job == parent or over(holder.until, now):
            holder = self._holders[unique.key] = _Holder(job, unique.until if unique.mode == "period" else None)
        return holder.job

    def let_go(self, job: str, unique: Unique) -> None:
        """Free the key if the job holds it, unless it is held until a moment of its own."""
        if self._holders.get(unique.key) == (job, None):
            del self._holders[unique.key]

    def expire(self, now: datetime) -> None:
        """Drop the keys whose period is over."""
        self._holders = {key: holder for key, holder in self._holders.items() if not over(holder.until, now)}


def over(moment: datetime | None, now: datetime) -> bool:
    """Whether a moment, if there is one, has come."""
    return moment is not None and moment <= now
