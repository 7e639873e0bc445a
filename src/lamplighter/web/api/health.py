"""`/tenants/{tenant}/integrations/{integration}/health`: what is known of it, what has been, and a check now."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from lamplighter.families.health import check_now
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.health.history import History, Incident
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.auth import Admission
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours, Tokens
from lamplighter.web.roles import Right, needs

AN_INTEGRATION = "/tenants/{tenant_id}/integrations/{integration_id}"

router = APIRouter()


class ShownHealth(Shown, frozen=True, kw_only=True):
    """No `status`: nothing is known yet. `latency_ms` is that of the last check."""

    status: Health | None = None
    since: datetime | None = None
    last_checked: datetime | None = None
    message: str | None = None
    latency_ms: int | None = None
    next_check: datetime | None = None


class ShownIncident(Shown, frozen=True, kw_only=True):
    """A time without health; no `ended_at`: it lasts."""

    began_at: datetime
    ended_at: datetime | None
    status: Health
    message: str | None


class ShownHistory(Shown, frozen=True, kw_only=True):
    """`uptime`: from 0 to 1, of what is known."""

    since: datetime
    until: datetime
    uptime: float | None
    checks: int
    mean_latency_ms: float | None
    incidents: list[ShownIncident]


@router.get(f"{AN_INTEGRATION}/health")
@needs(Right.READ)
@shows(ShownHealth)
async def get_health(admitted: Admission, ours: Ours) -> Response:
    """Its health, as far as it is known."""
    return answers.data(await _health(ours, admitted.integration.id))


@router.get(f"{AN_INTEGRATION}/health/history")
@needs(Right.READ)
@shows(ShownHistory)
async def get_history(admitted: Admission, ours: Ours, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
    """Its uptime and incidents of the last days."""
    return answers.data(_history(await ours.healths.history(admitted.integration.id, timedelta(days=days))))


@router.post(f"{AN_INTEGRATION}/test")
@needs(Right.TEND, notes="integration.check")
@shows(ShownHealth)
async def test(admitted: Admission, ours: Ours, tokens: Tokens) -> Response:
    """Ask the provider now; what does not work any more is refreshed at once."""
    await check_now(tokens, admitted.integration.id)
    return answers.data(await _health(ours, admitted.integration.id))


async def _health(ours: Ours, integration_id: str) -> ShownHealth:
    known = await ours.healths.get(integration_id)
    if known is None:
        return ShownHealth()
    return ShownHealth(
        status=known.health,
        since=known.since,
        last_checked=known.last_checked,
        message=known.message,
        latency_ms=known.latency_ms,
        next_check=known.due_at,
    )


def _history(past: History) -> ShownHistory:
    return ShownHistory(
        since=past.since,
        until=past.until,
        uptime=past.uptime,
        checks=past.checks,
        mean_latency_ms=past.mean_latency_ms,
        incidents=[_incident(one) for one in past.incidents],
    )


def _incident(one: Incident) -> ShownIncident:
    return ShownIncident(began_at=one.began_at, ended_at=one.ended_at, status=one.health, message=one.message)
