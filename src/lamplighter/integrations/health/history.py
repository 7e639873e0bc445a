"""What spans of health add up to: uptime and incidents. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from msgspec import Struct

from lamplighter.integrations.health.health import Health


class Span(NamedTuple):
    """It lasts until the next one of its integration begins, the last one until now."""

    began_at: datetime
    health: Health | None
    message: str | None
    checks: int
    latency_total_ms: int


class Incident(Struct, frozen=True, kw_only=True):
    """A time without health. No `ended_at`: it lasts. `health` and `message` are what it began with."""

    began_at: datetime
    ended_at: datetime | None
    health: Health
    message: str | None


class History(Struct, frozen=True, kw_only=True):
    """Of a time: `uptime` is the healthy share of what is known of it, from 0 to 1; None if nothing is known."""

    since: datetime
    until: datetime
    uptime: float | None
    checks: int
    mean_latency_ms: float | None
    incidents: tuple[Incident, ...]


class _Piece(NamedTuple):
    span: Span
    start: datetime
    end: datetime


def history(spans: Sequence[Span], since: datetime, until: datetime) -> History:
    """What the spans, in their order, add up to between two moments. Counts are those of spans that touch the time."""
    pieces = list(_within(spans, since, until))
    known = sum((end - start for span, start, end in pieces if span.health), timedelta())
    healthy = sum((end - start for span, start, end in pieces if span.health == "healthy"), timedelta())
    checks = sum(piece.span.checks for piece in pieces)
    latency = sum(piece.span.latency_total_ms for piece in pieces)
    return History(
        since=since,
        until=until,
        uptime=healthy / known if known else None,
        checks=checks,
        mean_latency_ms=latency / checks if checks else None,
        incidents=tuple(_incidents(pieces, until)),
    )


def _within(spans: Sequence[Span], since: datetime, until: datetime) -> Iterator[_Piece]:
    for number, span in enumerate(spans):
        end = spans[number + 1].began_at if number + 1 < len(spans) else until
        if end > since and span.began_at < until:
            yield _Piece(span, max(span.began_at, since), min(end, until))


def _incidents(pieces: Sequence[_Piece], until: datetime) -> Iterator[Incident]:
    """Neighbours without health are one incident, however its kind changes."""
    for is_bad, group in groupby(pieces, key=lambda piece: piece.span.health not in {"healthy", None}):
        if is_bad:
            first, *_rest = run = list(group)
            assert first.span.health is not None, "that is what is_bad means"
            yield Incident(
                began_at=first.span.began_at,
                ended_at=None if run[-1].end == until and run[-1] is pieces[-1] else run[-1].end,
                health=first.span.health,
                message=first.span.message,
            )
