"""`/jobs`: find them, and see one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from msgspec import Raw
from pydantic import Field

from lamplighter.core.model import JobView, State, Where
from lamplighter.web import answers
from lamplighter.web.answers import PRINTABLE, Cursor, Limit, Shown
from lamplighter.web.auth import LONGEST_ID, Admission, visible_tenants
from lamplighter.web.given import TheApp
from lamplighter.web.roles import Caller, Right, Role, needs
from lamplighter.web.shows import shows

Filter = Annotated[list[Annotated[str, Field(max_length=LONGEST_ID, pattern=PRINTABLE)]], Query(max_length=50)]

router = APIRouter()


class ShownJob(Shown, frozen=True, kw_only=True):
    """A job. Tenants see no `args` and no `worker`: those are the application's affair."""

    id: str
    name: str
    queue: str
    tenant: str | None
    state: State
    priority: int
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    kept_until: datetime | None
    attempts: int
    failures: int
    crashes: int
    args: Raw | None
    progress: Raw | None
    result: Raw | None
    reason: str | None
    worker: str | None
    parent: str | None


@router.get("/jobs")
@needs(Right.READ, sorts=True)
@shows(list[ShownJob], paged=True)
async def list_jobs(
    admitted: Admission,
    app: TheApp,
    *,
    queue: Filter = [],  # noqa: B006 - the framework makes a new one for each call
    name: Filter = [],  # noqa: B006
    state: Annotated[list[State], Query(max_length=len(State))] = [],  # noqa: B006
    tenant: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """Those that match every filter, the newest first; go on with `before` = `next`."""
    tenants = visible_tenants(admitted.caller, tenant)
    where = Where(queues=tuple(queue), names=tuple(name), states=tuple(state), tenants=tuple(tenants or ()))
    found = await app.store.page(where, limit=limit, before=before or None)
    return answers.page([shown(one, admitted.caller) for one in found], limit)


@router.get("/jobs/{job_id}")
@needs(Right.READ)
@shows(ShownJob)
async def get_job(admitted: Admission) -> Response:
    """One of them."""
    return answers.data(shown(admitted.job, admitted.caller))


def shown(one: JobView, caller: Caller) -> ShownJob:
    """The job, as far as the caller may see it."""
    is_insider = caller.role is not Role.TENANT
    return ShownJob(
        id=one.id,
        name=one.name,
        queue=one.queue,
        tenant=one.tenant,
        state=one.state,
        priority=one.priority,
        run_at=one.run_at,
        created_at=one.created_at,
        started_at=one.started_at,
        ended_at=one.ended_at,
        kept_until=one.keep_until,
        attempts=one.fence,
        failures=one.failures,
        crashes=one.crashes,
        args=Raw(one.args.encode()) if is_insider else None,
        progress=_raw(one.progress),
        result=_raw(one.result),
        reason=one.reason,
        worker=one.worker if is_insider else None,
        parent=one.group,
    )


def _raw(json: str | None) -> Raw | None:
    return None if json is None else Raw(json.encode())
