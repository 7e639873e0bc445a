"""`/tenants/{tenant}/notifications`: what a tenant is told in the application."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from lamplighter.integrations.notices.notices import Notice
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import LONGEST_ID
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownNotice(Shown, frozen=True, kw_only=True):
    """One thing that it is told: `subject` says what in words. Only what is of an integration has that and a provider.
    `reason` and `facts` may hold the words of others: escape them."""

    id: str
    integration_id: str | None
    provider: str | None
    event: str
    subject: str
    reason: str | None
    facts: dict[str, str | int | float | bool | None]
    timestamp: datetime
    read_at: datetime | None


@router.get("/tenants/{tenant_id}/notifications")
@needs(Right.READ)
@shows(list[ShownNotice], paged=True, unread=int)
async def list_notifications(
    tenant_id: str,
    ours: Ours,
    unread: bool = False,  # noqa: FBT001, FBT002 - a query has names
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """The tenant's, the newest first, and how many it has not read; go on with `before` = `next`."""
    found = await ours.notices.page(tenant_id, unread=unread, limit=limit, before=before or None)
    return answers.page([_shown(one) for one in found], limit, unread=await ours.notices.unread(tenant_id))


@router.post("/tenants/{tenant_id}/notifications/{notice_id}/read")
@needs(Right.OWN)
@shows()
async def mark_read(
    tenant_id: str, notice_id: Annotated[str, Path(max_length=LONGEST_ID, pattern=r"^[!-~]+$")], ours: Ours
) -> Response:
    """It is read. What is none of the tenant's stays as it is, and nobody learns whether it is there."""
    await ours.notices.mark_read(tenant_id, [notice_id])
    return answers.nothing()


def _shown(one: Notice) -> ShownNotice:
    return ShownNotice(
        id=one.id,
        integration_id=one.integration_id,
        provider=one.provider_slug,
        event=one.event,
        subject=one.subject,
        reason=one.reason,
        facts=one.facts,
        timestamp=one.at,
        read_at=one.read_at,
    )
