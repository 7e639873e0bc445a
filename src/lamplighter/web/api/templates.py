"""`/tenants/{tenant}/notification-templates`: a tenant's own words for events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from lamplighter.integrations.notices.own_words import LONGEST, OwnWords
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.api.preferences import EventName
from lamplighter.web.bodies import Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours
from lamplighter.web.refusals import NoSuchTemplate
from lamplighter.web.roles import Right, needs

Source = Annotated[str | None, Field(min_length=1, max_length=LONGEST, pattern=r"^[^\x00]*$")]

router = APIRouter()


class ShownTemplate(Shown, frozen=True, kw_only=True):
    """A tenant's own words for an event; null is as shipped. `failedAt`, `failure`: when a message had to do without
    them the last time, and why."""

    event: str
    subject: str | None
    text: str | None
    html: str | None
    updated_at: datetime | None
    failed_at: datetime | None
    failure: str | None


class NewTemplate(Body):
    """Jinja templates: values, `if`, a few filters, one loop over `notices`. At least one; others are as shipped."""

    subject: Source = None
    text: Source = None
    html: Source = None


@router.get("/tenants/{tenant_id}/notification-templates")
@needs(Right.READ)
@shows(list[ShownTemplate])
async def list_templates(tenant_id: str, ours: Ours) -> Response:
    """The events for which the tenant has words of its own."""
    return answers.data([_shown(one) for one in await ours.templates.all(tenant_id)])


@router.put("/tenants/{tenant_id}/notification-templates/{event}")
@needs(Right.TEND)
@shows()
async def set_template(tenant_id: str, event: EventName, new: NewTemplate, ours: Ours) -> Response:
    """Say it in these words from now on, in place of those before. They are tried on a sample first."""
    words = OwnWords(tenant_id=tenant_id, event=event, subject=new.subject, text=new.text, html=new.html)
    await ours.templates.set(words)
    return answers.nothing()


@router.delete("/tenants/{tenant_id}/notification-templates/{event}")
@needs(Right.TEND)
@shows()
async def remove_template(tenant_id: str, event: EventName, ours: Ours) -> Response:
    """Back to the shipped words."""
    if not await ours.templates.remove(tenant_id, event):
        raise NoSuchTemplate("the tenant has no words of its own for that event: list templates to find those it has.")
    return answers.nothing()


def _shown(one: OwnWords) -> ShownTemplate:
    return ShownTemplate(
        event=one.event,
        subject=one.subject,
        text=one.text,
        html=one.html,
        updated_at=one.updated_at,
        failed_at=one.failed_at,
        failure=one.failure,
    )
