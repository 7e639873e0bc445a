"""`/audit/keeping`: whether the log is what was sealed, where it lies, what is held, and how long the rest is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from lamplighter.core.duration import format_duration, parse_duration
from lamplighter.core.errors import ConfigError
from lamplighter.families.audit.archive import Archives
from lamplighter.families.audit.restoring import Restoring
from lamplighter.families.audit.verifying import Verifying, write_head
from lamplighter.integrations.auditing.holds import Holds
from lamplighter.integrations.auditing.policy import Rule
from lamplighter.integrations.auditing.rules import Rules
from lamplighter.web.answers import Cursor
from lamplighter.web.audit_access import storage_of
from lamplighter.web.auth import LONGEST_ID, Admission
from lamplighter.web.bodies import Search
from lamplighter.web.forms import read_form
from lamplighter.web.given import Ours, TheApp
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.refusals import NoSuchArchive
from lamplighter.web.roles import Right, needs

PAGE = 50
CHAINS = 200  # that are shown: those with trouble first
LASTING = ("1d", "7d", "30d", "90d")
NEVER = "never"
WHERE = "audit/keeping"

Id = Annotated[str, Path(max_length=LONGEST_ID)]

router = APIRouter()


@router.get("/audit/keeping")
@needs(Right.READ)
async def show_keeping(
    request: Request, admitted: Admission, ours: Ours, app: TheApp, *, tenant: Search = "", before: Cursor = ""
) -> Response:
    """All of it; `tenant`: only that one's chain and archives."""
    chosen, verifying = tenant.strip(), Verifying(ours.database, None)
    chains = await verifying.chains(limit=CHAINS, only=[chosen] if chosen else None)
    archives = await Archives(ours.database).page(chain=chosen or None, limit=PAGE + 1, before=before or None)
    settings = app.settings
    return render(
        request,
        "audit_keeping.html",
        admitted.caller,
        chains=sorted(chains, key=lambda one: (one.broken is None, one.failure is None)),
        head=write_head,
        unsealed=await verifying.unsealed(),
        archives=archives[:PAGE],
        next=archives[PAGE - 1].id if len(archives) > PAGE else None,
        place=None if settings.audit_archive is None else storage_of(app).place,
        holds=await Holds(ours.database).page(limit=PAGE),
        rules=await Rules(ours.database).all(),
        otherwise=Rule(archive_after=settings.audit_archive_after, destroy_after=settings.keep_audit),
        span=_shown,
        lasting=LASTING,
        tenant=chosen,
        before=before,
    )


@router.post("/audit/hold")
@needs(Right.OPERATE, notes="audit-hold.place")
async def hold(request: Request, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Have something not destroyed."""
    form = await read_form(request)
    tenant, action = _scope(form)
    admitted.metadata.update(tenant=tenant[:LONGEST_ID], action=action[:LONGEST_ID])
    await Holds(ours.database, clock=app.clock).place(tenant, action, reason=form.get("reason", ""))
    return back(request, WHERE, "held")


@router.post("/audit/release/{hold_id}")
@needs(Right.ADMINISTER, notes="audit-hold.release")
async def release(request: Request, hold_id: Id, ours: Ours, app: TheApp) -> Response:
    """Release a hold."""
    was_there = await Holds(ours.database, clock=app.clock).release(hold_id)
    return back(request, WHERE, "released" if was_there else "nothing")


@router.post("/audit/rule")
@needs(Right.ADMINISTER, notes="audit-rule.set")
async def set_rule(request: Request, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Keep something for so long from now on."""
    form = await read_form(request)
    tenant, action = _scope(form)
    admitted.metadata.update(tenant=tenant[:LONGEST_ID], action=action[:LONGEST_ID])
    archive, destroy = _span(form.get("archive", "")), _span(form.get("destroy", ""))
    rule = Rule(tenant=tenant, action=action, archive_after=archive, destroy_after=destroy)
    await Rules(ours.database, clock=app.clock).set(rule)
    return back(request, WHERE, "rule-set")


@router.post("/audit/rule/unset")
@needs(Right.ADMINISTER, notes="audit-rule.unset")
async def unset_rule(request: Request, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Take a rule away."""
    form = await read_form(request)
    tenant, action = form.get("tenant", ""), form.get("action", "")
    admitted.metadata.update(tenant=tenant[:LONGEST_ID], action=action[:LONGEST_ID])
    was_there = await Rules(ours.database, clock=app.clock).unset(tenant, action)
    return back(request, WHERE, "rule-unset" if was_there else "nothing")


@router.post("/audit/restore/{archive_id}")
@needs(Right.OPERATE, notes="audit-archive.restore")
async def restore(request: Request, archive_id: Id, ours: Ours, app: TheApp) -> Response:
    """Bring copies of an archive back for a while."""
    form = await read_form(request)
    found = await Archives(ours.database).get(archive_id)
    if found is None:
        raise NoSuchArchive("there is no such archive (any more): look at the list of them.")
    lasting = _span(form.get("lasting", "")) or timedelta()
    await Restoring(ours.database, storage_of(app), clock=app.clock).restore(found, lasting)
    return back(request, WHERE, "restored")


def _scope(form: dict[str, str]) -> tuple[str, str]:
    """What is left empty is everything; what concerns no single tenant is called "_" there."""
    tenant = form.get("tenant", "").strip() or "*"
    return "" if tenant == "_" else tenant, form.get("action", "").strip() or "*"


def _shown(span: timedelta | None) -> str:
    return NEVER if span is None else format_duration(span)


def _span(written: str) -> timedelta | None:
    if written.strip() == NEVER:
        return None
    try:
        return parse_duration(written.strip())
    except ValueError:
        raise ConfigError("records are kept for a time such as 30d, or never go: give one for each.") from None
