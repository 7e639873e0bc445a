"""`/integrations`: what is connected and how it is; one of them: its health, refresh it, check it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.families.health import check_now
from lamplighter.integrations.expiry import look_ahead
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.health.history import History
from lamplighter.integrations.integration import Status
from lamplighter.web.answers import Cursor
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Search
from lamplighter.web.given import Ours, TheApp, Tokens
from lamplighter.web.pages.rendering import back, place, render
from lamplighter.web.roles import Right, needs

PAGE = 50
AHEAD = {  # how long each stretch is that is looked ahead, and how many
    "1h": (timedelta(minutes=5), 12),
    "24h": (timedelta(hours=1), 24),
    "7d": (timedelta(hours=12), 14),
}
PAST = timedelta(days=30)
CELLS = 60  # of the bar that shows the past: half a day each

AN_INTEGRATION = "/tenants/{tenant_id}/integrations/{integration_id}"

router = APIRouter()


class Cell(NamedTuple):
    """A piece of the past. No `health`: there was no incident in it."""

    since: datetime
    until: datetime
    health: Health | None


@router.get("/integrations")
@needs(Right.READ)
async def list_integrations(
    request: Request,
    admitted: Admission,
    ours: Ours,
    app: TheApp,
    *,
    status: Status | Literal[""] = "",
    provider: Search = "",
    tenant: Search = "",
    after: Cursor = "",
    span: Literal["1h", "24h", "7d"] = "1h",
) -> Response:
    """By id; how many are in each status; when tokens expire, and which of all next."""
    found = await ours.integrations.page(
        tenant_id=tenant or None, provider_slug=provider or None, status=status or None, limit=PAGE + 1, after=after
    )
    shown = found[:PAGE]
    health = {one.integration_id: one for one in await ours.healths.of([one.id for one in shown])}
    return render(
        request,
        "integrations.html",
        admitted.caller,
        integrations=shown,
        health=health,
        counts=await ours.integrations.counts(),
        statuses=get_args(Status),
        expiry=await look_ahead(ours.database, app.clock(), *AHEAD[span]),
        span=span,
        filters={"status": status, "provider": provider, "tenant": tenant},
        next=shown[-1].id if len(found) > PAGE else None,
        after=after,
    )


@router.get(AN_INTEGRATION)
@needs(Right.READ)
async def see_integration(request: Request, admitted: Admission, ours: Ours) -> Response:
    """All that is known of one, but for its tokens."""
    one = admitted.integration
    past = await ours.healths.history(one.id, PAST)
    return render(
        request,
        "integration.html",
        admitted.caller,
        integration=one,
        health=await ours.healths.get(one.id),
        past=past,
        cells=list(_cells(past)),
    )


@router.post(f"{AN_INTEGRATION}/refresh")
@needs(Right.TEND, notes="integration.refresh")
async def refresh(request: Request, admitted: Admission, tokens: Tokens) -> Response:
    """Refresh its tokens now, due or not."""
    known = admitted.integration
    await tokens.refresh_now(known.id, force=True)
    return back(request, place("tenants", known.tenant_id, "integrations", known.id), "refreshed")


@router.post(f"{AN_INTEGRATION}/check")
@needs(Right.TEND, notes="integration.check")
async def check(request: Request, admitted: Admission, tokens: Tokens) -> Response:
    """Ask the provider now."""
    known = admitted.integration
    await check_now(tokens, known.id)
    return back(request, place("tenants", known.tenant_id, "integrations", known.id), "checked")


def _cells(past: History) -> Iterator[Cell]:
    """The past in pieces, each with the first incident that touches it."""
    step = (past.until - past.since) / CELLS
    for number in range(CELLS):
        since = past.since + number * step
        until = since + step
        touching = (one for one in past.incidents if one.began_at < until and (one.ended_at or past.until) > since)
        first = next(touching, None)
        yield Cell(since, until, None if first is None else first.health)
