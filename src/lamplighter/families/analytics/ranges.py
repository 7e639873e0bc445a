"""Times that people ask for: a number of days, or two moments; how many windows one answer may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from lamplighter.core.errors import LamplighterError
from lamplighter.families.analytics.windows import Resolution

USUAL: dict[Resolution, timedelta] = {
    "hour": timedelta(days=2),
    "day": timedelta(days=60),
    "month": timedelta(days=730),
}
LONGEST: dict[Resolution, timedelta] = {  # about two thousand windows of each
    "hour": timedelta(days=83),
    "day": timedelta(days=2000),
    "month": timedelta(days=36500),
}


class BadRange(LamplighterError):
    """That time cannot be asked for."""


class Range(NamedTuple):
    """From a moment to before another."""

    since: datetime
    until: datetime


def asked_for(
    resolution: Resolution, since: datetime | None, until: datetime | None, now: datetime, *, longest: timedelta | None
) -> Range:
    """What is left open is as usual. A moment without a zone is taken for UTC. `longest`: None where all may be asked
    for. Raises BadRange."""
    ends = now if until is None else _in_utc(until)
    begins = ends - USUAL[resolution] if since is None else _in_utc(since)
    if ends <= begins:
        raise BadRange("a time ends after it begins: correct the two.")
    if longest is not None and ends - begins > longest:
        raise BadRange(
            f"that are more than {longest.days:,} days by the {resolution}: ask for less, or for a coarser resolution."
        )
    return Range(begins, ends)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
