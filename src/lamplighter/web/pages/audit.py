"""`/audit`: who did what, the latest first, in the live table and in archives."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.families.audit.search import Page
from lamplighter.families.audit.storage import ArchiveError
from lamplighter.web.answers import Cursor
from lamplighter.web.audit_access import Seeking, Sought, find_records
from lamplighter.web.auth import Admission
from lamplighter.web.given import Ours, TheApp
from lamplighter.web.pages.rendering import render
from lamplighter.web.roles import Right, needs

PAGE = 50

router = APIRouter()


@router.get("/audit")
@needs(Right.READ)
async def list_records(
    request: Request, admitted: Admission, ours: Ours, app: TheApp, seeking: Seeking, *, before: Cursor = ""
) -> Response:
    """Of all tenants, or of one. Archives are looked in where one tenant is named."""
    page, trouble = Page([], None), ""
    if seeking.archived and not (seeking.tenant or seeking.shared):
        trouble = "Archives are searched of one tenant at a time: name one, or choose what concerns no single one."
    else:
        try:
            page = await find_records(admitted.caller, ours, app, seeking, limit=PAGE, before=before)
        except ArchiveError as error:
            trouble = str(error)
    return render(
        request,
        "audit.html",
        admitted.caller,
        records=page.hits,
        next=page.next,
        trouble=trouble,
        sought=seeking,
        filters=_filters(seeking),
        has_archive=app.settings.audit_archive is not None,
        before=before,
    )


def _filters(sought: Sought) -> dict[str, str]:
    """As the address has them."""
    texts = {name: getattr(sought, name) for name in ("tenant", "action", "user", "type", "about")}
    moments = {name: one.isoformat() for name in ("since", "until") if (one := getattr(sought, name)) is not None}
    switches = {name: "true" for name in ("shared", "archived") if getattr(sought, name)}
    return {name: value for name, value in (texts | moments | switches).items() if value}
