"""`/limits`: what limits let through, and their breakers; open and close one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from lamplighter.core.draft import LONGEST_NAME
from lamplighter.web.auth import Admission
from lamplighter.web.given import TheApp
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

GATES = 200

Key = Annotated[str, Path(max_length=LONGEST_NAME)]

router = APIRouter()


@router.get("/limits")
@needs(Right.READ)
async def list_limits(request: Request, admitted: Admission, app: TheApp) -> Response:
    """The keys that are in use, are shut, or have jobs waiting."""
    gates = await app.gates.look(limit=GATES)
    return render(request, "limits.html", admitted.caller, gates=gates, most=GATES)


@router.post("/limits/{key:path}/open")
@needs(Right.OPERATE, notes="limit.open")
async def open_(request: Request, key: Key, app: TheApp) -> Response:
    """Have its jobs wait until it is closed."""
    await app.gates.open(key)
    return back(request, "limits", "opened")


@router.post("/limits/{key:path}/close")
@needs(Right.OPERATE, notes="limit.close")
async def close(request: Request, key: Key, app: TheApp) -> Response:
    """Let its jobs go on."""
    await app.gates.close(key)
    return back(request, "limits", "closed")
