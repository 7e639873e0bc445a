"""`/audit`: who did what, the latest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from lamplighter.integrations.audit import Record, Result
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import LONGEST_ID, Admission, visible_tenants
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownResource(Shown, frozen=True, kw_only=True):
    """What a record is about."""

    type: str
    id: str


class ShownRecord(Shown, frozen=True, kw_only=True):
    """A line of the log."""

    id: str
    tenant_id: str | None
    user_id: str
    action: str
    resource: ShownResource
    details: Mapping[str, Any]
    result: Result
    error_message: str | None
    timestamp: datetime


@router.get("/audit")
@needs(Right.READ, sorts=True)
@shows(list[ShownRecord], paged=True)
async def list_records(
    admitted: Admission,
    ours: Ours,
    tenant: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """Of all tenants that the caller may see, or of one of them; go on with `before` = `next`."""
    tenants = visible_tenants(admitted.caller, tenant)
    found = await ours.audit.page(tenant_ids=tenants, limit=limit, before=before or None)
    return answers.page([_shown(one) for one in found], limit)


def _shown(one: Record) -> ShownRecord:
    return ShownRecord(
        id=one.id,
        tenant_id=one.tenant_id,
        user_id=one.user_id,
        action=one.action,
        resource=ShownResource(type=one.resource_type, id=one.resource_id),
        details={answers.camel(key): value for key, value in one.details.items()},
        result=one.result,
        error_message=one.error_message,
        timestamp=one.at,
    )
