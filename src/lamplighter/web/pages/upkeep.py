"""`/upkeep`: how the databases are, what is done to keep them well, and how they grow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from lamplighter.families.upkeep.family import UpkeepFamily
from lamplighter.families.upkeep.finding import TASKS
from lamplighter.web import answers
from lamplighter.web.answers import Cursor
from lamplighter.web.auth import Admission
from lamplighter.web.forms import read_form
from lamplighter.web.given import TheApp, TheUpkeep, must_be_kept_up
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

PAGE = 30
LARGEST = 30  # of what grows
DAYS = (30, 90, 365)

Days = Annotated[int, Query(ge=1, le=3650)]

router = APIRouter()


@router.get("/upkeep")
@needs(Right.READ)
async def see(
    request: Request, admitted: Admission, app: TheApp, upkeep: TheUpkeep, *, days: Days = 90, before: Cursor = ""
) -> Response:
    """What is due and what is wrong first; what is within bounds is folded away."""
    report, runs = await upkeep.report(), await upkeep.ledger.page(limit=PAGE + 1, before=before or None)
    notable = [one for one in report.findings if one.is_notable]
    return render(
        request,
        "upkeep.html",
        admitted.caller,
        report=report,
        notable=notable,
        others=[one for one in report.findings if one not in notable],
        tasks=TASKS,
        runs=runs[:PAGE],
        next=runs[PAGE - 1].id if len(runs) > PAGE else None,
        before=before,
        growth=(await upkeep.ledger.growth())[:LARGEST],
        is_declared=app.part(UpkeepFamily) is not None,
        days=days,
        spans=DAYS,
    )


@router.get("/upkeep/sizes")
@needs(Right.READ)
async def sizes(upkeep: TheUpkeep, days: Days = 90) -> Response:
    """What the chart draws: moments, and bytes of the largest things."""
    chart = await upkeep.ledger.chart(days=days)
    lines = [{"label": one.name, "bytes": one.bytes} for one in chart.lines]
    return answers.data({"at": [moment.timestamp() for moment in chart.at], "lines": lines})


@router.post("/upkeep/run")
@needs(Right.OPERATE, notes="upkeep.run")
async def run(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Have what is due done now; or one thing, whether or not it was done lately."""
    family, form = must_be_kept_up(app), await read_form(request)
    tasks: Sequence[str] = [form["task"]] if form.get("task") in TASKS else []
    subject = form.get("subject", "")[:200] or None
    admitted.metadata.update(tasks=list(tasks), subject=subject)
    await family.ask(by=admitted.caller.user_id, tasks=tasks, subject=subject, lasts=timedelta(hours=1))
    return back(request, "upkeep", "upkeep-asked")
