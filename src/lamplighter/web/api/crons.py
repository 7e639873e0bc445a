"""`/crons`: the schedules, and when each comes next; pause them, let them go on, run one now."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import Response

from lamplighter.app.crons import CronView
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.bodies import Name
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

SLOTS = 10  # that are told of each

router = APIRouter()


class ShownCron(Shown, frozen=True, kw_only=True):
    """A schedule. `held_by`: the job that kept its last slot from becoming one; `next`: empty if it cannot be told."""

    name: str
    schedule: str
    job: str
    queue: str
    last_at: datetime | None
    next_at: datetime | None
    next: tuple[datetime, ...]
    paused: bool
    paused_since: datetime | None
    held_by: str | None


class ShownRun(Shown, frozen=True, kw_only=True):
    """The job; not `created`: it was there, and holds the unique key."""

    id: str
    created: bool


@router.get("/crons")
@needs(Right.READ)
@shows(list[ShownCron])
async def list_crons(app: TheApp) -> Response:
    """All that a worker has had, or this app has, by name."""
    return answers.data([_shown(one) for one in await app.crons.look(slots=SLOTS)])


@router.post("/crons/{name}/run")
@needs(Right.OPERATE, notes="cron.run")
@shows(ShownRun)
async def run(name: Name, app: TheApp) -> Response:
    """Enqueue its job now, beside its slots, and even while it is paused; 409 if it is another app's."""
    handle = await app.run_cron(name)
    return answers.data(ShownRun(id=handle.id, created=handle.created))


@router.post("/crons/{name}/pause")
@needs(Right.OPERATE, notes="cron.pause")
@shows()
async def pause(name: Name, app: TheApp) -> Response:
    """Let its slots pass; they are not made up for."""
    await app.crons.pause(name)
    return answers.nothing()


@router.post("/crons/{name}/resume")
@needs(Right.OPERATE, notes="cron.resume")
@shows()
async def resume(name: Name, app: TheApp) -> Response:
    """Let it go on with its next slot."""
    await app.crons.resume(name)
    return answers.nothing()


def _shown(one: CronView) -> ShownCron:
    return ShownCron(
        name=one.name,
        schedule=one.schedule,
        job=one.job,
        queue=one.queue,
        last_at=one.last_at,
        next_at=one.comes[0] if one.comes else None,
        next=one.comes,
        paused=one.paused_since is not None,
        paused_since=one.paused_since,
        held_by=one.held_by,
    )
