"""`/tenants/{tenant}/notification-preferences`: how a tenant wants to hear of each event."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from lamplighter.integrations.notices.digest import Digest
from lamplighter.integrations.notices.preferences import Preference
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.bodies import PRINTABLE, Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours
from lamplighter.web.roles import Right, needs

LONGEST_EVENT = 60

EventName = Annotated[str, Path(max_length=LONGEST_EVENT, pattern=PRINTABLE)]

router = APIRouter()


class ShownPreference(Shown, frozen=True, kw_only=True):
    """`muted`: recipients are not told. `digest`: at once, or at most once an hour or a day, of each provider."""

    event: str
    muted: bool
    digest: Digest


class NewPreference(Body):
    """How to tell of an event from now on."""

    muted: bool = False
    digest: Digest = "immediate"


@router.get("/tenants/{tenant_id}/notification-preferences")
@needs(Right.READ)
@shows(list[ShownPreference])
async def list_preferences(tenant_id: str, ours: Ours) -> Response:
    """Of every event that the tenant can hear of, whether it has chosen or not."""
    found = await ours.preferences.all(tenant_id)
    return answers.data([ShownPreference(event=one.event, muted=one.muted, digest=one.digest) for one in found])


@router.put("/tenants/{tenant_id}/notification-preferences/{event}")
@needs(Right.TEND)
@shows()
async def prefer(tenant_id: str, event: EventName, new: NewPreference, ours: Ours) -> Response:
    """How its recipients hear of that event from now on. Its list has everything all the same."""
    await ours.preferences.set(Preference(tenant_id=tenant_id, event=event, muted=new.muted, digest=new.digest))
    return answers.nothing()
