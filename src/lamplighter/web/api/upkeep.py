"""`/upkeep`: what is found of the databases, what was done to them, how large they are; have what is due done now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec.structs import asdict
from pydantic import Field

from lamplighter.families.upkeep.finding import Finding, TaskName
from lamplighter.families.upkeep.ledger import Outcome, Run
from lamplighter.families.upkeep.window import Night
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import PRINTABLE, Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp, TheUpkeep, must_be_kept_up
from lamplighter.web.roles import Right, needs

MOST_MINUTES = 720

Days = Annotated[int, Query(ge=1, le=3650)]
Most = Annotated[int, Query(ge=1, le=50)]

router = APIRouter()


class ShownFinding(Shown, frozen=True, kw_only=True):
    """What a task found of one table, index or file. `isDue`: it is done in the window, or when somebody asks for it.
    `isHeld`: it would be, but something has to be seen to first.

    `says` is for people; `size` and `wasted` are bytes; `figures` are what it goes by.
    """

    task: TaskName
    database: str
    subject: str
    is_due: bool
    is_held: bool
    says: str
    size: int | None
    wasted: int | None
    figures: Mapping[str, int | float | str]


class ShownNight(Shown, frozen=True, kw_only=True):
    """A time in which the window is open."""

    begins: datetime
    ends: datetime


class ShownTrouble(Shown, frozen=True, kw_only=True):
    """A database that could not be looked at."""

    database: str
    says: str


class ShownReport(Shown, frozen=True, kw_only=True):
    """What would be done now, and all else that was found. `open`: the window that is open; `next`: the next one."""

    open: ShownNight | None
    next: ShownNight | None
    findings: Sequence[ShownFinding]
    troubles: Sequence[ShownTrouble]


class ShownUpkeepRun(Shown, frozen=True, kw_only=True):
    """One thing that was done. `outcome`: done, stopped (it goes on another time) or failed; null: it goes on."""

    id: str
    task: str
    database: str
    subject: str
    asked_by: str
    began_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    says: str
    bytes_before: int | None
    bytes_after: int | None


class ShownGrowth(Shown, frozen=True, kw_only=True):
    """Bytes of a table, index or file when it was last measured, and so many days `before` that."""

    database: str
    name: str
    kind: str
    bytes: int
    before: Mapping[str, int]


class ShownSizeLine(Shown, frozen=True, kw_only=True):
    """Bytes at each moment of the chart; null: it was not there, or nobody looked."""

    database: str
    name: str
    kind: str
    bytes: Sequence[int | None]


class ShownSizes(Shown, frozen=True, kw_only=True):
    """How large everything is, the largest first; and the largest over time."""

    growth: Sequence[ShownGrowth]
    at: Sequence[datetime]
    lines: Sequence[ShownSizeLine]


class ShownAsked(Shown, frozen=True, kw_only=True):
    """The job that does it."""

    job_id: str


class NewRun(Body):
    """Which tasks, by default all; of one subject only; for so many minutes at most."""

    tasks: tuple[TaskName, ...] = ()
    subject: Annotated[str | None, Field(min_length=1, max_length=200, pattern=PRINTABLE)] = None
    minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES)] = 60


@router.get("/upkeep")
@needs(Right.READ)
@shows(ShownReport)
async def get_report(upkeep: TheUpkeep) -> Response:
    """What upkeep would do now, and what it found: nothing is changed by looking."""
    found = await upkeep.report()
    return answers.data(
        ShownReport(
            open=_night(found.night),
            next=_night(found.next),
            findings=[_finding(one) for one in found.findings],
            troubles=[ShownTrouble(**one._asdict()) for one in found.troubles],
        )
    )


@router.get("/upkeep/runs")
@needs(Right.READ)
@shows(list[ShownUpkeepRun], paged=True)
async def list_runs(
    upkeep: TheUpkeep, task: TaskName | None = None, limit: Limit = 100, before: Cursor = ""
) -> Response:
    """What was done, the last first."""
    found = await upkeep.ledger.page(task=task, limit=limit, before=before or None)
    return answers.page([_run(one) for one in found], limit)


@router.get("/upkeep/sizes")
@needs(Right.READ)
@shows(ShownSizes)
async def get_sizes(upkeep: TheUpkeep, days: Days = 90, most: Most = 8) -> Response:
    """How large tables, indexes and files are, and how that went."""
    growth, chart = await upkeep.ledger.growth(), await upkeep.ledger.chart(days=days, most=most)
    return answers.data(
        ShownSizes(
            growth=[ShownGrowth(**asdict(one)) for one in growth],
            at=chart.at,
            lines=[ShownSizeLine(**asdict(one)) for one in chart.lines],
        )
    )


@router.post("/upkeep/run")
@needs(Right.OPERATE, notes="upkeep.run")
@shows(ShownAsked, status=202)
async def run(new: NewRun, admitted: Admission, app: TheApp) -> Response:
    """Have a worker do what is due now, though the window may be closed."""
    family = must_be_kept_up(app)
    admitted.metadata.update(new.model_dump())
    handle = await family.ask(
        by=admitted.caller.user_id, tasks=new.tasks, subject=new.subject, lasts=timedelta(minutes=new.minutes)
    )
    return answers.data(ShownAsked(job_id=handle.id), status=202)


def _finding(one: Finding) -> ShownFinding:
    return ShownFinding(**asdict(one))


def _run(one: Run) -> ShownUpkeepRun:
    return ShownUpkeepRun(**asdict(one))


def _night(one: Night | None) -> ShownNight | None:
    return None if one is None else ShownNight(begins=one.begins, ends=one.ends)
