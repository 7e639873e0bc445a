"""`POST /tenants/{tenant}/integrations/connect`: a browser begins to connect a tenant; `callback` ends it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.api import callback
from lamplighter.web.auth import Admission
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours, integrating
from lamplighter.web.roles import Right, needs

router = APIRouter()


class Wish(BaseModel):
    """What to connect, and the path of the host's site to go on to."""

    model_config = ConfigDict(extra="forbid")

    provider: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,20}$")]
    return_to: Annotated[str, Field(max_length=501)] = "/"


class ShownStart(Shown, frozen=True, kw_only=True):
    """Where to send the person."""

    url: str


@router.post("/tenants/{tenant_id}/integrations/connect")
@needs(Right.OWN)
@shows(ShownStart)
async def connect(request: Request, tenant_id: str, wish: Wish, admitted: Admission, ours: Ours) -> Response:
    """The URL to send the person to, and a cookie by which their browser is known when it comes back."""
    callback_url = integrating(request).callback_url
    begun = await ours.connections.begin(
        tenant_id,
        wish.provider,
        redirect_uri=callback_url,
        user_id=admitted.caller.user_id,
        return_to=wish.return_to,
    )
    answer = answers.data(ShownStart(url=begun.url.reveal()))
    callback.remember(answer, callback_url, begun.state, begun.browser)
    return answer
