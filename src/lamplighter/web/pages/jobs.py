"""`/jobs`: find them; one job: what became of it, why it waits, and what can be done."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import MsgspecError, Struct, json

from lamplighter.app.editing import lineage
from lamplighter.app.search import PATIENCE, Found, search
from lamplighter.core.model import ENDED, LIVE, MOVES, State, Where
from lamplighter.web.answers import Cursor
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Search
from lamplighter.web.given import TheApp
from lamplighter.web.pages.rendering import back, place, render
from lamplighter.web.pages.tree import tree_of
from lamplighter.web.roles import Right, needs

PAGE = 50
CHILDREN = 50
LINES = 200
RETRIED, CANCELLED = MOVES["be retried"].sources, LIVE


router = APIRouter()


@router.get("/jobs")
@needs(Right.READ)
async def list_jobs(
    request: Request,
    admitted: Admission,
    app: TheApp,
    *,
    queue: Search = "",
    name: Search = "",
    state: State | Literal[""] = "",
    tenant: Search = "",
    args: Search = "",
    before: Cursor = "",
) -> Response:
    """Those that match every filter, the newest first. What is left empty filters nothing.

    By their arguments they are looked for among the newest that match the others.
    """
    where = Where(queues=_some(queue), names=_some(name), states=(state,) if state else (), tenants=_some(tenant))
    stats, args = await app.store.stats(), args.strip()
    if args:
        found = await search(app.store, where, args, limit=PAGE, before=before or None, patience=PATIENCE)
    else:
        views = await app.store.page(where, limit=PAGE + 1, before=before or None)
        found = Found(views[:PAGE], len(views[:PAGE]), views[PAGE - 1].id if len(views) > PAGE else None)
    return render(
        request,
        "jobs.html",
        admitted.caller,
        jobs=found.jobs,
        looked_at=found.looked_at if args else None,
        next=found.next,
        filters={"queue": queue, "name": name, "state": state, "tenant": tenant, "args": args},
        before=before,
        queues=[one.queue for one in stats],
        states=list(State),
    )


@router.get("/jobs/{job_id}")
@needs(Right.READ)
async def see_job(request: Request, admitted: Admission, app: TheApp) -> Response:
    """All that is known of one."""
    job, store = admitted.job, app.store
    failures, children, blockers, lines, edited = await asyncio.gather(
        store.failures(job.id),
        store.page(Where(groups=(job.id,)), limit=CHILDREN),
        app.why(job.id),
        store.logs(job.id, limit=LINES),
        lineage(store, job.id, now=app.clock()),
    )
    return render(
        request,
        "job.html",
        admitted.caller,
        job=job,
        failures=failures,
        children=children,
        lines=lines,
        most_lines=LINES,
        edited=edited,
        tree=await tree_of(store, job, children),
        told=_progress(job.progress),
        blockers=blockers if job.state in LIVE else [],
        can_retry=job.state in RETRIED,
        can_edit=app.has_job(job.name),
        can_cancel=job.state in CANCELLED and not job.stopping,
        can_delete=job.state in ENDED,
    )


@router.post("/jobs/{job_id}/retry")
@needs(Right.TEND, notes="job.retry")
async def retry(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Run an ended job again, or a scheduled one now."""
    job = admitted.job
    done = await app.store.retry(Where(ids=(job.id,)), limit=1, now=app.clock())
    did = "promoted" if job.state is State.SCHEDULED else "retried"
    return back(request, place("jobs", job.id), did if done else "nothing")


@router.post("/jobs/{job_id}/cancel")
@needs(Right.TEND, notes="job.cancel")
async def cancel(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Cancel it if it waits, ask it to stop if it runs."""
    job = admitted.job
    done = await app.cancel(job.id)
    return back(request, place("jobs", job.id), "cancelled" if done else "nothing")


@router.post("/jobs/{job_id}/delete")
@needs(Right.TEND, notes="job.delete")
async def delete(request: Request, admitted: Admission, app: TheApp) -> Response:
    """Forget an ended job now."""
    job = admitted.job
    if await app.store.forget(Where(ids=(job.id,)), limit=1):
        return back(request, "jobs", "deleted")
    return back(request, place("jobs", job.id), "nothing")


class Told(Struct, frozen=True):
    """What `ctx.progress` tells."""

    done: float
    of: float | None = None
    note: str = ""


def _progress(text: str | None) -> Told | None:
    """How far a job is; None where it says nothing of the kind."""
    try:
        return None if text is None else json.decode(text, type=Told)
    except MsgspecError:
        return None


def _some(text: str) -> tuple[str, ...]:
    return (text.strip(),) if text.strip() else ()
