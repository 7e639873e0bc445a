"""`/workers`: who is alive, where, and what they run; drain one."""

from __future__ import annotations

from datetime import datetime

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.model import State, Where
from lamplighter.engine.lease import KIND, Presence
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Name
from lamplighter.web.given import TheApp
from lamplighter.web.pages.newest import newest
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

RUNNING = 50  # jobs that run now

router = APIRouter()


@router.get("/workers")
@needs(Right.READ)
async def list_workers(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Those whose record has not expired, and the newest jobs that run."""
    workers = []
    for record in await app.store.records(KIND, now=app.clock()):
        told = msgspec.json.decode(record.value, type=Presence)
        moments = {
            "started": _moment(told.started_at),
            "beat": _moment(told.beat_at),
            "claimed": _moment(told.claimed_at),
        }
        workers.append({"name": record.name, "told": told, **moments})
    running = await newest(app.store, Where(states=(State.RUNNING,)), await app.store.stats(), limit=RUNNING)
    return render(request, "workers.html", admitted.caller, workers=workers, running=running, most=RUNNING)


@router.post("/workers/{name}/drain")
@needs(Right.OPERATE, notes="worker.drain")
async def drain(request: Request, name: Name, app: TheApp) -> Response:
    """Have it finish what it runs, and end."""
    await app.drain(name)
    return back(request, "workers", "draining")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
