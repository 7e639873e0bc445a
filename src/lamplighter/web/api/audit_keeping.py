"""`/audit/holds` and `/audit/retention`: what must not be destroyed, and how long everything else is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec.structs import asdict
from pydantic import Field

from lamplighter.integrations.auditing.holds import LONGEST_REASON, Hold, Holds
from lamplighter.integrations.auditing.policy import LONGEST_PATTERN, LONGEST_TENANT, Rule
from lamplighter.integrations.auditing.rules import LONGEST, SHORTEST, KeptRule, Rules, seconds_of, span_of
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import Admission, is_id
from lamplighter.web.bodies import PRINTABLE, Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours, TheApp
from lamplighter.web.refusals import NoSuchAuditRule, NoSuchHold
from lamplighter.web.roles import Right, needs

Tenant = Annotated[str, Field(max_length=LONGEST_TENANT, pattern=PRINTABLE)]
Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN, pattern=PRINTABLE)]
Reason = Annotated[str, Field(min_length=1, max_length=LONGEST_REASON, pattern=PRINTABLE)]
Seconds = Annotated[int, Field(ge=int(SHORTEST.total_seconds()), le=int(LONGEST.total_seconds()))]

router = APIRouter()


class ShownHold(Shown, frozen=True, kw_only=True):
    """Records that are not destroyed, of a tenant ("*": all; "": no single one) and of actions (integration.*)."""

    id: str
    tenant: str
    action: str
    reason: str
    user_id: str
    created_at: datetime
    released_at: datetime | None
    released_by: str | None


class ShownAuditRule(Shown, frozen=True, kw_only=True):
    """How long records of these tenants and actions are kept, in seconds; null: for ever. The most precise counts."""

    tenant: str
    action: str
    archive_after: int | None
    destroy_after: int | None


class ShownRetention(Shown, frozen=True, kw_only=True):
    """Rules, the most precise first, and what counts otherwise: that is in the settings."""

    rules: list[ShownAuditRule]
    otherwise: ShownAuditRule


class NewHold(Body):
    """By default everything is held."""

    tenant: Tenant = "*"
    action: Pattern = "*"
    reason: Reason


class NewRule(Body):
    """In seconds; null: never."""

    tenant: Tenant = "*"
    action: Pattern = "*"
    archive_after: Seconds | None
    destroy_after: Seconds | None


@router.get("/audit/holds")
@needs(Right.READ)
@shows(list[ShownHold], paged=True)
async def list_holds(ours: Ours, *, released: bool = False, limit: Limit = 100, before: Cursor = "") -> Response:
    """Those in force, the newest first; with `released` also those that are not any more."""
    found = await Holds(ours.database).page(released=released, limit=limit, before=before or None)
    return answers.page([_hold(one) for one in found], limit)


@router.post("/audit/holds")
@needs(Right.OPERATE, notes="audit-hold.place")
@shows(ShownHold, status=201)
async def place(new: NewHold, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Have these not destroyed, whatever their age, until the hold is released."""
    admitted.metadata.update(new.model_dump())
    placed = await Holds(ours.database, clock=app.clock).place(new.tenant, new.action, reason=new.reason)
    return answers.data(_hold(placed), status=201)


@router.delete("/audit/holds/{hold_id}")
@needs(Right.ADMINISTER, notes="audit-hold.release")
@shows()
async def release(hold_id: str, ours: Ours, app: TheApp) -> Response:
    """Release a hold: what it covered is destroyed when its time is over. For superadmins."""
    if not is_id(hold_id) or not await Holds(ours.database, clock=app.clock).release(hold_id):
        raise NoSuchHold("there is no such hold (any more): list holds to find those there are.")
    return answers.nothing()


@router.get("/audit/retention")
@needs(Right.READ)
@shows(ShownRetention)
async def show_retention(ours: Ours, app: TheApp) -> Response:
    """How long records are kept."""
    found = await Rules(ours.database).all()
    otherwise = ShownAuditRule(
        tenant="*",
        action="*",
        archive_after=seconds_of(app.settings.audit_archive_after),
        destroy_after=seconds_of(app.settings.keep_audit),
    )
    return answers.data(ShownRetention(rules=[_rule(one) for one in found], otherwise=otherwise))


@router.put("/audit/retention")
@needs(Right.ADMINISTER, notes="audit-rule.set")
@shows(ShownAuditRule)
async def set_rule(new: NewRule, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Keep records of these tenants and actions for so long from now on. For superadmins."""
    admitted.metadata.update(new.model_dump())
    rule = Rule(
        tenant=new.tenant,
        action=new.action,
        archive_after=span_of(new.archive_after),
        destroy_after=span_of(new.destroy_after),
    )
    return answers.data(_rule(await Rules(ours.database, clock=app.clock).set(rule)))


@router.delete("/audit/retention")
@needs(Right.ADMINISTER, notes="audit-rule.unset")
@shows()
async def unset_rule(
    ours: Ours,
    app: TheApp,
    admitted: Admission,
    *,
    tenant: Annotated[str, Query(max_length=LONGEST_TENANT, pattern=PRINTABLE)] = "*",
    action: Annotated[str, Query(max_length=LONGEST_PATTERN, pattern=PRINTABLE)] = "*",
) -> Response:
    """Take the rule of that tenant and action away: others count then. For superadmins."""
    admitted.metadata.update(tenant=tenant, action=action)
    if not await Rules(ours.database, clock=app.clock).unset(tenant, action):
        raise NoSuchAuditRule("there is no such rule: look at the retention to find those there are.")
    return answers.nothing()


def _hold(one: Hold) -> ShownHold:
    return ShownHold(**asdict(one))


def _rule(one: KeptRule) -> ShownAuditRule:
    return ShownAuditRule(
        tenant=one.tenant,
        action=one.action,
        archive_after=seconds_of(one.archive_after),
        destroy_after=seconds_of(one.destroy_after),
    )
