"""`/notifications`: what a tenant was told, how it wants to hear of what, and how that looks."""

from __future__ import annotations

from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from lamplighter.integrations.notices.digest import Digest
from lamplighter.integrations.notices.events import heard_by
from lamplighter.integrations.notices.own_words import Failed
from lamplighter.integrations.notices.preferences import Preference
from lamplighter.integrations.notices.wording import html_of
from lamplighter.web import page_headers
from lamplighter.web.answers import Cursor
from lamplighter.web.api.preferences import EventName
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Name, Search
from lamplighter.web.forms import read_form
from lamplighter.web.given import Ours
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

PAGE = 50
FRAMING = {  # of the page around a mail
    "Content-Security-Policy": f"{page_headers.POLICY}; frame-src 'self'",
}
FRAMED = {  # of the mail: nothing of it runs, nothing in it is sent, and it sees nothing of ours
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: https:; frame-ancestors 'self'; "
        "form-action 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
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


@router.post("/tenants/{tenant_id}/notifications/read")
@needs(Right.OWN)
async def mark_read(request: Request, tenant_id: Name, ours: Ours) -> Response:
    """What the page showed is read: those up to the newest of it."""
    form = await read_form(request)
    found = await ours.notices.page(tenant_id, unread=True, limit=PAGE, before=f"{form.get('newest', '')}~")
    await ours.notices.mark_read(tenant_id, [one.id for one in found])
    return back(request, "notifications", "read", tenant=tenant_id)


@router.get("/notifications/events")
@needs(Right.READ)
async def list_events(
    request: Request, admitted: Admission, ours: Ours, tenant: Search = "", event: Search = ""
) -> Response:
    """How a tenant's recipients, or the operators', hear of each event; and the mail about one, in a frame."""
    whose, preview, failure = tenant.strip() or None, None, None
    if event in heard_by(whose):
        try:
            preview = await ours.templates.preview(whose, event)
        except Failed as error:
            failure = str(error)
    return render(
        request,
        "notification_events.html",
        admitted.caller,
        headers=FRAMING,
        tenant=tenant.strip(),
        tenants=[one.id for one in await ours.tenants.page(limit=TENANTS)],
        preferences=await ours.preferences.all(whose),
        own={one.event: one for one in await ours.templates.all(whose)},
        digests=get_args(Digest),
        event=event,
        telling=preview and preview[1],
        failure=failure,
    )


@router.get("/notifications/mail")
@needs(Right.READ)
async def show_mail(ours: Ours, event: Search = "", tenant: Search = "") -> Response:
    """The HTML of a mail about a sample, for a frame."""
    message, telling = await ours.templates.preview(tenant.strip() or None, event)
    return HTMLResponse(html_of(message, telling), headers=FRAMED)


@router.post("/tenants/{tenant_id}/notifications/events/{event}")
@needs(Right.TEND)
async def prefer(request: Request, tenant_id: Name, event: EventName, ours: Ours) -> Response:
    """How a tenant's recipients hear of that event from now on."""
    form = await read_form(request)
    digest, muted = form.get("digest", ""), form.get("digest") == "muted"
    chosen: Any = "immediate" if muted else digest  # checked there
    await ours.preferences.set(Preference(tenant_id=tenant_id, event=event, muted=muted, digest=chosen))
    return back(request, "notifications/events", "preferred", tenant=tenant_id)
