"""`/workers`: who is alive, where, and what they run; drain one."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.model import State, Where
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Name
from lamplighter.web.given import TheApp
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

RUNNING = 50  # jobs that run now

router = APIRouter()


@router.get("/workers")
@needs(Right.READ)
async def list_workers(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Those that are alive, and the newest jobs that run."""
    running = await app.store.page(Where(states=(State.RUNNING,)), limit=RUNNING)
    return render(request, "workers.html", admitted.caller, workers=await app.workers(), running=running, most=RUNNING)


@router.post("/workers/{name}/drain")
@needs(Right.OPERATE, notes="worker.drain")
async def drain(request: Request, name: Name, app: TheApp) -> Response:
    """Have it finish what it runs, and end."""
    await app.drain(name)
    return back(request, "workers", "draining")
