"""`/history`: what was done, how long it took and how much waited, over the last minutes, hours or days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec.structs import asdict

from lamplighter.observe.history.past import Point, Span
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.bodies import Text
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownPoint(Shown, frozen=True, kw_only=True):
    """What happened from `at` on, for so many seconds: attempts that were done, failed for good, or are retried.

    Times in seconds: 95 % of them took no longer than `run_p95`, and began within `wait_p95` after they were due.
    `waiting`, `delayed` and `running`: the most at any moment that was looked at. Null: there were none, or nobody
    looked.
    """

    at: datetime
    seconds: int
    done: int
    failed: int
    retried: int
    run_p50: float | None
    run_p95: float | None
    wait_p50: float | None
    wait_p95: float | None
    waiting: int | None
    delayed: int | None
    running: int | None


class ShownHistory(Shown, frozen=True, kw_only=True):
    """The points of a range, the oldest first, `step` seconds apart. Where one is missing, no worker was there."""

    since: datetime
    until: datetime
    step: int
    points: Sequence[ShownPoint]


@router.get("/history")
@needs(Right.READ)
@shows(ShownHistory)
async def get_history(
    app: TheApp,
    queue: Annotated[Text | None, Query()] = None,
    span: Annotated[Span, Query(alias="range")] = "15m",
) -> Response:
    """What was done and what waited, in a queue or in all: 15 minutes by 10 s, a day by 5 minutes, a week by hours."""
    line = await app.past.line(span, queue)
    points = [_shown(point) for point in line.points]
    return answers.data(ShownHistory(since=line.since, until=line.until, step=line.step, points=points))


def _shown(point: Point) -> ShownPoint:
    return ShownPoint(**asdict(point) | {"at": datetime.fromtimestamp(point.at, UTC)})
