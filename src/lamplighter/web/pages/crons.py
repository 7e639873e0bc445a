"""`/crons`: which schedules there are, and when they fire; run one now, pause it, let it go on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Name
from lamplighter.web.given import TheApp
from lamplighter.web.pages.rendering import back, place, render
from lamplighter.web.roles import Right, needs

COMING = 3  # slots that are shown of each

router = APIRouter()


@router.get("/crons")
@needs(Right.READ)
async def list_crons(request: Request, admitted: Admission, app: TheApp) -> Response:
    """This app's, and all that workers have told of."""
    own = {entry.name for entry in app.schedules}
    return render(request, "crons.html", admitted.caller, crons=await app.crons.look(slots=COMING), own=own)


@router.post("/crons/{name}/run")
@needs(Right.OPERATE, notes="cron.run")
async def run(request: Request, name: Name, app: TheApp) -> Response:
    """Enqueue its job now."""
    handle = await app.run_cron(name)
    return back(request, place("jobs", handle.id), "enqueued" if handle.created else "nothing")


@router.post("/crons/{name}/pause")
@needs(Right.OPERATE, notes="cron.pause")
async def pause(request: Request, name: Name, app: TheApp) -> Response:
    """Let its slots pass."""
    await app.crons.pause(name)
    return back(request, "crons", "cron-paused")


@router.post("/crons/{name}/resume")
@needs(Right.OPERATE, notes="cron.resume")
async def resume(request: Request, name: Name, app: TheApp) -> Response:
    """Let it go on with its next slot."""
    await app.crons.resume(name)
    return back(request, "crons", "cron-resumed")
