"""`POST /tenants/{tenant}/integrations/{integration}/access-token`: the one answer that holds a token.

For services in any language that call a provider on behalf of a tenant. It is a POST, since it may refresh, and each
call is in the audit log, also one that was refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.auth import Admission, check_token_reader
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours
from lamplighter.web.roles import Right, needs

MOST_VERSIONS = 2**31 - 1

router = APIRouter()


class Wish(BaseModel):
    """`rejected`: the version of a token that the provider's API has refused before its time."""

    model_config = ConfigDict(extra="forbid")

    rejected: Annotated[int | None, Field(ge=1, le=MOST_VERSIONS)] = None


class ShownAccess(Shown, frozen=True, kw_only=True):
    """The token. Without `expires_at` it does not end by itself."""

    access_token: str
    expires_at: datetime | None
    token_version: int


@router.post("/tenants/{tenant_id}/integrations/{integration_id}/access-token")
@needs(Right.OWN, notes="token.read")
@shows(ShownAccess)
async def give_access_token(admitted: Admission, ours: Ours, wish: Wish | None = None) -> Response:
    """A token that is good for the next call; ask again before each, it costs one read while it is fresh."""
    check_token_reader(admitted.caller)
    access = await ours.access.get(admitted.integration.id, rejected=None if wish is None else wish.rejected)
    return answers.data(
        ShownAccess(
            access_token=access.access_token.reveal(),
            expires_at=access.expires_at,
            token_version=access.token_version,
        )
    )
