"""`/audit/archives`: what of the audit log lies elsewhere, and how it comes back for a while."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from lamplighter.families.audit.archive import Archive, Archives, State
from lamplighter.families.audit.restoring import LONGEST, Restoring
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.audit_access import chain_shown, storage_of
from lamplighter.web.auth import LONGEST_ID, Admission, is_id
from lamplighter.web.bodies import PRINTABLE, Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.given import Ours, TheApp
from lamplighter.web.refusals import NoSuchArchive
from lamplighter.web.roles import Right, needs

Seconds = Annotated[int, Field(ge=1, le=int(LONGEST.total_seconds()))]

router = APIRouter()


class ShownArchive(Shown, frozen=True, kw_only=True):
    """An object of a tenant's records (null: of what concerns no single one) of a day, UTC. Of `destroyed` records,
    place and hash are left. `place` is where it is below the archive."""

    id: str
    tenant_id: str | None
    day: str
    state: State
    records: int
    destroyed: int
    first_seq: int
    last_seq: int
    size: int
    digest: str
    place: str
    restored_until: datetime | None
    created_at: datetime


class ShownCopies(Shown, frozen=True, kw_only=True):
    """How many records were restored."""

    records: int


class Lasting(Body):
    """For how long."""

    seconds: Seconds


@router.get("/audit/archives")
@needs(Right.READ)
@shows(list[ShownArchive], paged=True)
async def list_archives(
    ours: Ours,
    *,
    tenant: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
    day: Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$")] = None,
    limit: Limit = 100,
    before: Cursor = "",
) -> Response:
    """Those of all tenants, the latest written first; go on with `before` = `next`."""
    found = await Archives(ours.database).page(chain=tenant, day=day, limit=limit, before=before or None)
    return answers.page([_shown(one) for one in found], limit)


@router.post("/audit/archives/{archive_id}/restore")
@needs(Right.OPERATE, notes="audit-archive.restore")
@shows(ShownCopies)
async def restore(archive_id: str, lasting: Lasting, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Have copies of its records in the live table for a while; the archive stays."""
    found = await Archives(ours.database).get(archive_id) if is_id(archive_id) else None
    if found is None:
        raise NoSuchArchive("there is no such archive (any more): list archives to find those there are.")
    admitted.metadata["seconds"] = lasting.seconds
    restoring = Restoring(ours.database, storage_of(app), clock=app.clock)
    return answers.data(ShownCopies(records=await restoring.restore(found, timedelta(seconds=lasting.seconds))))


def _shown(one: Archive) -> ShownArchive:
    return ShownArchive(
        id=one.id,
        tenant_id=chain_shown(one.chain),
        day=one.day,
        state=one.state,
        records=one.count,
        destroyed=one.destroyed,
        first_seq=one.first_seq,
        last_seq=one.last_seq,
        size=one.size,
        digest=one.digest,
        place=one.key,
        restored_until=one.restored_until,
        created_at=one.created_at,
    )
