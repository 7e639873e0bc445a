"""`/alerts`: what is bad now, and was lately; and silences, during which nobody is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from msgspec.structs import asdict
from pydantic import Field

from lamplighter.families.alerting.course import Alert, State
from lamplighter.families.alerting.kinds import Severity
from lamplighter.families.alerting.silence import LONGEST, LONGEST_PATTERN, LONGEST_REASON, Silence
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.auth import LONGEST_ID, Admission
from lamplighter.web.bodies import PRINTABLE, Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import MaybeAlerting, must_be_watched
from lamplighter.web.refusals import NoSuchSilence
from lamplighter.web.roles import Right, needs

Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN, pattern=PRINTABLE)]
Reason = Annotated[str, Field(min_length=1, max_length=LONGEST_REASON, pattern=PRINTABLE)]
Seconds = Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds()))]

router = APIRouter()


class ShownAlert(Shown, frozen=True, kw_only=True):
    """One rule about one subject: a queue, a schedule, a provider. `says` is for people; `value` is what it goes by.

    `since`: since when it is bad. `silenced`: nobody is told of it now. `runbook`: what to do, a link or a file's name.
    """

    rule: str
    subject: str
    severity: Severity
    state: State
    value: float
    says: str
    since: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    seen_at: datetime
    silenced: bool
    runbook: str


class ShownSilence(Shown, frozen=True, kw_only=True):
    """Nobody is told of what these patterns cover, until then."""

    id: str
    rule: str
    subject: str
    until: datetime
    reason: str
    user_id: str
    created_at: datetime


class ShownAlerts(Shown, frozen=True, kw_only=True):
    """`watched`: whether this process looks for what is bad; the others of the app may. `recent`: resolved in the last
    day."""

    watched: bool
    active: list[ShownAlert]
    recent: list[ShownAlert]
    silences: list[ShownSilence]


class NewSilence(Body):
    """A name or a pattern such as `mail-*` each; by default all subjects of the rule."""

    rule: Pattern
    subject: Pattern = "*"
    seconds: Seconds
    reason: Reason


@router.get("/alerts")
@needs(Right.READ)
@shows(ShownAlerts)
async def list_alerts(alerting: MaybeAlerting) -> Response:
    """What is bad now (pending, or firing), what was resolved lately, and the silences."""
    if alerting is None:
        return answers.data(ShownAlerts(watched=False, active=[], recent=[], silences=[]))
    shown = await alerting.shown()
    return answers.data(
        ShownAlerts(
            watched=alerting.is_running,
            active=[_alert(*one, alerting.runbook(one[0].rule)) for one in shown.live()],
            recent=[_alert(*one, alerting.runbook(one[0].rule)) for one in shown.over()],
            silences=[_silence(one) for one in shown.silences],
        )
    )


@router.post("/alerts/silences")
@needs(Right.OPERATE, notes="alert.silence")
@shows(ShownSilence, status=201)
async def silence(new: NewSilence, admitted: Admission, alerting: MaybeAlerting) -> Response:
    """Tell nobody of these for so long. What still fires when that is over is told then."""
    admitted.metadata.update(new.model_dump())
    made = await must_be_watched(alerting).board.silence(
        new.rule, new.subject, timedelta(seconds=new.seconds), reason=new.reason, user_id=admitted.caller.user_id
    )
    return answers.data(_silence(made), status=201)


@router.delete("/alerts/silences/{silence_id}")
@needs(Right.OPERATE, notes="alert.unsilence")
@shows()
async def unsilence(
    silence_id: Annotated[str, Path(max_length=LONGEST_ID, pattern=r"^[!-~]+$")], alerting: MaybeAlerting
) -> Response:
    """End a silence: what still fires is told."""
    if not await must_be_watched(alerting).board.unsilence(silence_id):
        raise NoSuchSilence("there is no such silence (any more): list alerts to find those there are.")
    return answers.nothing()


def _alert(one: Alert, silenced: bool, runbook: str) -> ShownAlert:  # noqa: FBT001 - as they come
    return ShownAlert(
        rule=one.rule,
        subject=one.subject,
        severity=one.severity,
        state=one.state,
        value=one.value,
        says=one.says,
        since=one.since,
        fired_at=one.fired_at,
        resolved_at=one.resolved_at,
        seen_at=one.seen_at,
        silenced=silenced,
        runbook=runbook,
    )


def _silence(one: Silence) -> ShownSilence:
    return ShownSilence(**asdict(one))
