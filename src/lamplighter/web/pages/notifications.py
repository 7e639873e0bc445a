"""`/notifications`: what a tenant was told of its integrations."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.web.answers import Cursor
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Search
from lamplighter.web.given import Ours
from lamplighter.web.pages.rendering import render
from lamplighter.web.roles import Right, needs

PAGE = 50
TENANTS = 200  # to choose from; others can be written

router = APIRouter()


@router.get("/notifications")
@needs(Right.READ)
async def list_notifications(
    request: Request,
    admitted: Admission,
    ours: Ours,
    tenant: Search = "",
    before: Cursor = "",
) -> Response:
    """Those of one tenant, the newest first: they are kept for each, and of no use all together."""
    known = await ours.tenants.page(limit=TENANTS)
    chosen = tenant.strip() or (known[0].id if known else "")
    found = await ours.notices.page(chosen, limit=PAGE + 1, before=before or None) if chosen else []
    return render(
        request,
        "notifications.html",
        admitted.caller,
        notices=found[:PAGE],
        next=found[PAGE - 1].id if len(found) > PAGE else None,
        unread=await ours.notices.unread(chosen) if chosen else 0,
        tenant=chosen,
        tenants=[one.id for one in known],
        before=before,
    )
