"""`/alerts`: what is bad now, and was lately; silence it while somebody works on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from lamplighter.core.duration import parse_duration
from lamplighter.core.errors import ConfigError
from lamplighter.web.auth import LONGEST_ID, Admission
from lamplighter.web.bodies import Search
from lamplighter.web.forms import read_form
from lamplighter.web.given import MaybeAlerting, must_be_watched
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

LASTING = ("30m", "2h", "8h", "1d", "7d")

router = APIRouter()


@router.get("/alerts")
@needs(Right.READ)
async def list_alerts(
    request: Request, admitted: Admission, alerting: MaybeAlerting, rule: Search = "", subject: Search = ""
) -> Response:
    """Alerts and silences. `rule` and `subject`: what the form is filled with."""
    shown = None if alerting is None else await alerting.shown()
    return render(
        request,
        "alerts.html",
        admitted.caller,
        shown=shown,
        is_watched=alerting is not None and alerting.is_running,
        names=[] if alerting is None else [one.name for one in alerting.rules],
        runbook=None if alerting is None else alerting.runbook,
        lasting=LASTING,
        rule=rule,
        subject=subject or "*",
    )


@router.post("/alerts/silence")
@needs(Right.OPERATE, notes="alert.silence")
async def silence(request: Request, admitted: Admission, alerting: MaybeAlerting) -> Response:
    """Tell nobody of that for a while."""
    form = await read_form(request)
    rule, subject, reason = form.get("rule", ""), form.get("subject", ""), form.get("reason", "")
    admitted.metadata.update(rule=rule[:LONGEST_ID], subject=subject[:LONGEST_ID])
    await must_be_watched(alerting).board.silence(
        rule, subject, _lasting(form.get("lasting", "")), reason=reason, user_id=admitted.caller.user_id
    )
    return back(request, "alerts", "silenced")


@router.post("/alerts/unsilence/{silence_id}")
@needs(Right.OPERATE, notes="alert.unsilence")
async def unsilence(
    request: Request, silence_id: Annotated[str, Path(max_length=LONGEST_ID)], alerting: MaybeAlerting
) -> Response:
    """End a silence."""
    was_there = await must_be_watched(alerting).board.unsilence(silence_id)
    return back(request, "alerts", "unsilenced" if was_there else "nothing")


def _lasting(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError:
        raise ConfigError("a silence lasts for a time such as 2h: choose one.") from None
