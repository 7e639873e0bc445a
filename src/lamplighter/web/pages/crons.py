"""`/crons`: which schedules there are, and when they fire."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.engine.tick import KIND, read_told
from lamplighter.web.auth import Admission
from lamplighter.web.given import TheApp
from lamplighter.web.rendering import render
from lamplighter.web.roles import Right, needs

router = APIRouter()


@router.get("/crons")
@needs(Right.READ)
async def list_crons(request: Request, admitted: Admission, app: TheApp) -> Response:
    """All that workers have told of."""
    told = [(one.name, read_told(one)) for one in await app.store.records(KIND, now=app.clock())]
    crons = [
        {"name": name, "told": one, "last": maybe_from_us(one.fired), "next": from_us(one.next)}
        for name, one in told
        if one is not None
    ]
    return render(request, "crons.html", admitted.caller, crons=crons)
