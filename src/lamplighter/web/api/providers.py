"""`/providers`: whose clients we are, and which of them are down."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from fastapi.responses import Response

from lamplighter.core.secret import REDACTED
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.outage import left_alone
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours
from lamplighter.web.roles import Right, needs

router = APIRouter()


class ShownProvider(Shown, frozen=True, kw_only=True):
    """A provider without our secret there. `left_alone_until`: it is down, and is asked again then."""

    slug: str
    display_name: str
    client_id: str
    client_secret: str
    auth_url: str
    token_url: str
    health_url: str | None
    scopes: tuple[str, ...]
    rotates: bool
    health_interval: int
    max_concurrency: int
    max_per_second: float
    left_alone_until: datetime | None


@router.get("/providers")
@needs(Right.READ, sorts=True)
@shows(list[ShownProvider])
async def list_providers(ours: Ours) -> Response:
    """Those that tenants can connect, by slug; they are the same for everybody."""
    down = await ours.database.read(left_alone)
    return answers.data([_shown(one, down.get(one.slug)) for one in await ours.registrations.all()])


def _shown(one: Provider, left_alone_until: datetime | None) -> ShownProvider:
    return ShownProvider(
        slug=one.slug,
        display_name=one.display_name,
        client_id=one.client_id,
        client_secret=REDACTED,
        auth_url=one.auth_url,
        token_url=one.token_url,
        health_url=one.health_url,
        scopes=one.scopes,
        rotates=one.rotates,
        health_interval=one.health_interval,
        max_concurrency=one.max_concurrency,
        max_per_second=one.max_per_second,
        left_alone_until=left_alone_until,
    )
