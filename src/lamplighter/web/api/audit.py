"""`/audit`: who did what, the latest first; and the chains that it is sealed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from lamplighter.families.audit.search import Hit, Page
from lamplighter.families.audit.verifying import Chain, Verifying, write_head
from lamplighter.integrations.audit import Result
from lamplighter.integrations.auditing.chain import SHARED
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.audit_access import Seeking, chain_shown, find_records
from lamplighter.web.auth import LONGEST_ID, Admission, visible_tenants
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours, TheApp
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownResource(Shown, frozen=True, kw_only=True):
    """What a record is about."""

    type: str
    id: str


class ShownRecord(Shown, frozen=True, kw_only=True):
    """A line of the log. `archiveId`: of the archive that it is in, if it is in the live table no more."""

    id: str
    tenant_id: str | None
    user_id: str
    action: str
    resource: ShownResource
    details: Mapping[str, Any]
    result: Result
    error_message: str | None
    timestamp: datetime
    archive_id: str | None


class ShownChain(Shown, frozen=True, kw_only=True):
    """The chain of a tenant, or of what concerns no single one (null). `records`: so many are sealed. `head`: note it
    elsewhere, and `lamplighter audit verify --head` compares. `broken`: what was wrong when it was verified."""

    tenant_id: str | None
    records: int
    head: str
    verified_at: datetime | None
    broken: str | None
    archive_failure: str | None


@router.get("/audit")
@needs(Right.READ, sorts=True)
@shows(list[ShownRecord], paged=True)
async def list_records(
    admitted: Admission,
    ours: Ours,
    app: TheApp,
    seeking: Seeking,
    *,
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """Of all tenants that the caller may see, or of one of them; go on with `before` = `next`.

    `archived` looks in archives too, of one tenant (or `shared`: what concerns no single one). A page looks at a
    bounded number of records and archives, so it may be short, or empty, and still have a `next`.
    """
    page: Page = await find_records(admitted.caller, ours, app, seeking, limit=limit, before=before)
    return answers.page_up_to([_shown(one) for one in page.hits], page.next)


@router.get("/audit/chains")
@needs(Right.READ, sorts=True)
@shows(list[ShownChain], paged=True)
async def list_chains(
    admitted: Admission,
    ours: Ours,
    tenant: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
    limit: Limit = 100,
    after: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
) -> Response:
    """Those of all tenants that the caller may see, by tenant; go on with `after` = `next`."""
    tenants = visible_tenants(admitted.caller, tenant)
    only = None if tenants is None else [one for one in tenants if one != SHARED]
    found = await Verifying(ours.database, None).chains(limit=limit, after=after, only=only)
    next_ = found[-1].chain if len(found) == limit else None
    return answers.page_up_to([_chain(one) for one in found], next_)


def _shown(hit: Hit) -> ShownRecord:
    one = hit.record
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
        archive_id=hit.archive_id,
    )


def _chain(one: Chain) -> ShownChain:
    return ShownChain(
        tenant_id=chain_shown(one.chain),
        records=one.seq,
        head=write_head(one),
        verified_at=one.verified_at,
        broken=one.broken,
        archive_failure=one.failure,
    )
