"""`/audit`: who did what, the latest first."""

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

router = APIRouter()


@router.get("/audit")
@needs(Right.READ)
async def list_records(
    request: Request,
    admitted: Admission,
    ours: Ours,
    tenant: Search = "",
    before: Cursor = "",
) -> Response:
    """Of all tenants, or of one."""
    chosen = tenant.strip()
    found = await ours.audit.page(tenant_ids=[chosen] if chosen else None, limit=PAGE + 1, before=before or None)
    return render(
        request,
        "audit.html",
        admitted.caller,
        records=found[:PAGE],
        next=found[PAGE - 1].id if len(found) > PAGE else None,
        tenant=chosen,
        before=before,
    )
