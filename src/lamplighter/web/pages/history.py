"""`/history`: what the charts draw; and the same as a table, for whoever does not see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Query
from fastapi.responses import Response

from lamplighter.app import App
from lamplighter.observe.history.past import Line, Point, Span
from lamplighter.web import answers
from lamplighter.web.bodies import Text
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

SPANS: tuple[tuple[Span, str], ...] = (("15m", "15 min"), ("24h", "24 h"), ("7d", "7 days"))
FIELDS = ("run_p50", "run_p95", "wait_p50", "wait_p95", "waiting", "delayed", "running")

router = APIRouter()


class Told(NamedTuple):
    """A point, and when it begins."""

    at: datetime
    point: Point


@router.get("/history")
@needs(Right.READ)
async def past(app: TheApp, span: Span = "15m", queue: Annotated[Text | None, Query()] = None) -> Response:
    """Moments, and what happened then: attempts per minute, seconds, and jobs. A moment without values is a gap."""
    return answers.data(_columns(await app.past.line(span, queue)))


async def table(app: App[object], span: Span, queue: str | None = None) -> Sequence[Told]:
    """The same in a few rows, the newest first."""
    line = await app.past.line(span, queue, coarse=True)
    return [Told(datetime.fromtimestamp(point.at, UTC), point) for point in reversed(line.points)]


def _columns(line: Line) -> dict[str, list[float | None]]:
    points = list(_with_gaps(line))
    columns: dict[str, list[float | None]] = {"at": [at for at, _ in points]}
    for name in ("done", "failed", "retried"):
        columns[name] = [None if one is None else _per_minute(getattr(one, name), one.seconds) for _, one in points]
    for name in FIELDS:
        columns[name] = [None if one is None else getattr(one, name) for _, one in points]
    return columns


def _with_gaps(line: Line) -> Iterator[tuple[int, Point | None]]:
    """One missing point is no gap: whoever added up may have come late."""
    last: int | None = None
    for point in line.points:
        if last is not None and point.at - last > 2 * line.step:
            yield last + line.step, None
        yield point.at, point
        last = point.at


def _per_minute(count: int, seconds: int) -> float:
    return round(count * 60 / seconds, 2)
