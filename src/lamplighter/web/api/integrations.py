"""`/tenants/{tenant}/integrations`: what is connected; refresh it, disconnect it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from lamplighter.core.secret import REDACTED
from lamplighter.integrations.integration import Integration, Status
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import LONGEST_ID, Admission, visible_tenants
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours, Tokens
from lamplighter.web.roles import Right, needs

LONGEST_SLUG = 20  # characters

router = APIRouter()


class ShownIntegration(Shown, frozen=True, kw_only=True):
    """An integration without its tokens. `provider` is a slug."""

    id: str
    tenant_id: str
    provider: str
    status: Status
    status_reason: str | None
    status_changed_at: datetime
    access_token: str | None
    refresh_token: str | None
    token_expires_at: datetime | None
    token_version: int
    scopes_granted: tuple[str, ...]
    connected_at: datetime | None
    last_refreshed_at: datetime | None
    next_refresh_at: datetime | None
    created_at: datetime
    updated_at: datetime


@router.get("/tenants/{tenant_id}/integrations")
@needs(Right.READ)
@shows(list[ShownIntegration], paged=True)
async def list_integrations(
    tenant_id: str, ours: Ours, status: Status | None = None, limit: Limit = 100, after: Cursor = ""
) -> Response:
    """The tenant's integrations, by id."""
    found = await ours.integrations.page(tenant_id=tenant_id, status=status, limit=limit, after=after)
    return answers.page([_shown(one) for one in found], limit)


@router.get("/integrations")
@needs(Right.READ, sorts=True)
@shows(list[ShownIntegration], paged=True)
async def list_all(
    admitted: Admission,
    ours: Ours,
    *,
    tenant: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
    provider: Annotated[str | None, Query(max_length=LONGEST_SLUG, pattern=PRINTABLE)] = None,
    status: Status | None = None,
    limit: Limit = 100,
    after: Cursor = "",
) -> Response:
    """Those of all tenants that the caller may see, that match every filter, by id."""
    found = await ours.integrations.page(
        tenant_ids=visible_tenants(admitted.caller, tenant),
        provider_slug=provider,
        status=status,
        limit=limit,
        after=after,
    )
    return answers.page([_shown(one) for one in found], limit)


@router.get("/tenants/{tenant_id}/integrations/{integration_id}")
@needs(Right.READ)
@shows(ShownIntegration)
async def get_integration(admitted: Admission) -> Response:
    """One of them."""
    return answers.data(_shown(admitted.integration))


@router.delete("/tenants/{tenant_id}/integrations/{integration_id}")
@needs(Right.OWN, notes="integration.disconnect")
@shows()
async def disconnect(admitted: Admission, ours: Ours) -> Response:
    """Give its tokens back to the provider where that can be done, and delete them. Its row and id stay."""
    disconnected = await ours.disconnecting.disconnect(admitted.integration.id)
    if disconnected.not_revoked is not None:
        admitted.metadata["not_revoked"] = disconnected.not_revoked
    return answers.nothing()


@router.post("/oauth/tenants/{tenant_id}/integrations/{integration_id}/refresh")
@needs(Right.TEND, notes="integration.refresh")
@shows(ShownIntegration)
async def refresh(admitted: Admission, ours: Ours, tokens: Tokens) -> Response:
    """Refresh its tokens now, due or not; what it is like afterwards."""
    known = admitted.integration
    await tokens.refresh_now(known.id, force=True)
    return answers.data(_shown(await ours.integrations.get(known.id) or known))


def _shown(one: Integration) -> ShownIntegration:
    return ShownIntegration(
        id=one.id,
        tenant_id=one.tenant_id,
        provider=one.provider_slug,
        status=one.status,
        status_reason=one.status_reason,
        status_changed_at=one.status_changed_at,
        access_token=REDACTED if one.has_access_token else None,
        refresh_token=REDACTED if one.has_refresh_token else None,
        token_expires_at=one.expires_at,
        token_version=one.token_version,
        scopes_granted=one.scopes,
        connected_at=one.connected_at,
        last_refreshed_at=one.last_refreshed_at,
        next_refresh_at=one.refresh_at,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )
