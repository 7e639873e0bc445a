"""`/jobs/{job}/logs`: what a job logged."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec import Raw

from lamplighter.core.log_line import LogLevel, LogLine, LogPlace
from lamplighter.web import answers
from lamplighter.web.answers import Limit, Shown
from lamplighter.web.api.showing import raw
from lamplighter.web.auth import Admission
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

Place = Annotated[str, Query(pattern=r"^([0-9]{1,15}\.[0-9]{1,15})?$")]

router = APIRouter()


class ShownLine(Shown, frozen=True, kw_only=True):
    """A line. `id`: its place, the attempt and how many lines that had logged by then."""

    id: str
    attempt: int
    at: datetime
    level: LogLevel
    message: str
    fields: Raw | None


@router.get("/jobs/{job_id}/logs")
@needs(Right.READ)
@shows(list[ShownLine], paged=True)
async def list_logs(admitted: Admission, app: TheApp, *, limit: Limit = 100, after: Place = "") -> Response:
    """The last lines that it logged. `after`: those that follow the line of that id instead; `0.0`: the first."""
    found = await app.store.logs(admitted.job.id, limit=limit, after=_place(after) if after else None)
    return answers.page([_shown(line) for line in found], limit)


def _place(told: str) -> LogPlace:
    fence, _, n = told.partition(".")
    return LogPlace(int(fence), int(n))


def _shown(line: LogLine) -> ShownLine:
    return ShownLine(
        id=f"{line.fence}.{line.n}",
        attempt=line.fence,
        at=line.at,
        level=line.level,
        message=line.message,
        fields=raw(line.fields),
    )
