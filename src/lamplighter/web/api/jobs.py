"""`/jobs`: find them, and see one, its children and what is in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec import field

from lamplighter.app import Blocker
from lamplighter.app.editing import lineage
from lamplighter.app.search import PATIENCE, search
from lamplighter.core.model import State, Where
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.api.showing import ShownJob, WholeJob, is_insider, shown, whole
from lamplighter.web.auth import Admission, visible_tenants
from lamplighter.web.bodies import Text
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Right, needs

Filter = Annotated[list[Text], Query(max_length=50)]
States = Annotated[list[State], Query(max_length=len(State))]

OWN = {  # what a tenant can do something about
    "ended": "it has ended: retry it, and it runs again.",
    "held": "it waits until its children have ended: look at those.",
    "running": "it runs: wait for its result, or cancel it.",
    "scheduled": "its time has not come: wait, or promote it, and it runs now.",
}
WAITS = "the service has not come to it yet: wait, and ask the operator if that takes too long."

router = APIRouter()


class ShownBlocker(Shown, frozen=True, kw_only=True):
    """What is in the way of a job. `kind` and `figures` are for programs; tenants see no figures."""

    kind: str
    says: str
    figures: dict[str, Any] = field(default_factory=dict)


class ShownWhy(Shown, frozen=True, kw_only=True):
    """All that is in its way, the first thing to do first."""

    id: str
    state: State
    blockers: list[ShownBlocker]


@router.get("/jobs")
@needs(Right.READ, sorts=True)
@shows(list[ShownJob], paged=True)
async def list_jobs(
    admitted: Admission,
    app: TheApp,
    *,
    queue: Filter = [],  # noqa: B006 - the framework makes a new one for each call
    name: Filter = [],  # noqa: B006
    state: States = [],  # noqa: B006
    parent: Filter = [],  # noqa: B006
    tenant: Text | None = None,
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """Those that match every filter, the newest first; go on with `before` = `next`."""
    where = _where(queue, name, state, parent, visible_tenants(admitted.caller, tenant))
    found = await app.store.page(where, limit=limit, before=before or None)
    return answers.page([shown(one, admitted.caller) for one in found], limit)


@router.get("/jobs/search")
@needs(Right.READ)
@shows(list[ShownJob], paged=True, lookedAt=int)
async def search_jobs(
    args: Text,
    admitted: Admission,
    app: TheApp,
    *,
    queue: Filter = [],  # noqa: B006
    name: Filter = [],  # noqa: B006
    state: States = [],  # noqa: B006
    parent: Filter = [],  # noqa: B006
    tenant: Text | None = None,
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """Those whose arguments hold a text, or have `field=value`, among the 10,000 newest that match every filter; go on
    with `before` = `next`. Not for tenants, who see no arguments."""
    where = _where(queue, name, state, parent, visible_tenants(admitted.caller, tenant))
    found = await search(app.store, where, args, limit=limit, before=before or None, patience=PATIENCE)
    jobs = [shown(one, admitted.caller) for one in found.jobs]
    return answers.page_up_to(jobs, found.next, lookedAt=found.looked_at)


@router.get("/jobs/{job_id}")
@needs(Right.READ)
@shows(WholeJob)
async def get_job(admitted: Admission, app: TheApp) -> Response:
    """One of them, with all that is known of it."""
    id_ = admitted.job.id
    failures, edited = await asyncio.gather(app.store.failures(id_), lineage(app.store, id_, now=app.clock()))
    return answers.data(whole(admitted.job, failures, edited, admitted.caller))


@router.get("/jobs/{job_id}/children")
@needs(Right.READ)
@shows(list[ShownJob], paged=True)
async def list_children(
    admitted: Admission,
    app: TheApp,
    *,
    state: States = [],  # noqa: B006
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """The jobs that it is held for, as far as the caller sees them, the last first; go on with `before` = `next`."""
    tenants = visible_tenants(admitted.caller, None)
    where = Where(groups=(admitted.job.id,), states=tuple(state), tenants=tuple(tenants or ()))
    found = await app.store.page(where, limit=limit, before=before or None)
    return answers.page([shown(one, admitted.caller) for one in found], limit)


@router.get("/jobs/{job_id}/why")
@needs(Right.READ)
@shows(ShownWhy)
async def get_why(admitted: Admission, app: TheApp) -> Response:
    """Why it does not run: all that is in its way, the first thing to do first; empty: the next free slot takes it."""
    job, found = admitted.job, await app.why(admitted.job.id)
    blockers = _for_insiders(found) if is_insider(admitted.caller) else _for_tenants(found)
    return answers.data(ShownWhy(id=job.id, state=job.state, blockers=blockers))


def _where(
    queue: list[str], name: list[str], state: list[State], parent: list[str], tenants: Collection[str] | None
) -> Where:
    return Where(
        queues=tuple(queue),
        names=tuple(name),
        states=tuple(state),
        groups=tuple(parent),
        tenants=tuple(tenants or ()),
    )


def _for_insiders(found: list[Blocker]) -> list[ShownBlocker]:
    return [ShownBlocker(kind=one.kind, says=one.says, figures=_figures(one)) for one in found]


def _figures(one: Blocker) -> dict[str, Any]:
    told = msgspec.structs.asdict(one).items()
    return {answers.camel(name): value for name, value in told if name not in {"kind", "says"}}


def _for_tenants(found: list[Blocker]) -> list[ShownBlocker]:
    """Without workers, limits and the jobs of others, which the application's own sentences name."""
    own = [ShownBlocker(kind=one.kind, says=OWN[one.kind]) for one in found if one.kind in OWN]
    return own if len(own) == len(found) else [*own, ShownBlocker(kind="waits", says=WAITS)]
