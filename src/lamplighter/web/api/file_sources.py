"""`/tenants/{tenant}/file-sources`: where a tenant's files are, and how far their index is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from lamplighter.core.secret import REDACTED
from lamplighter.families.files.adding import add_source
from lamplighter.families.files.file_source import (
    LONGEST_CREDENTIAL,
    LONGEST_NAME,
    LONGEST_PLACE,
    MOST_CREDENTIALS,
    FileSource,
    Kind,
    NewSource,
    Phase,
    State,
)
from lamplighter.web import answers
from lamplighter.web.answers import Cursor, Limit, Shown
from lamplighter.web.auth import LONGEST_ID, Admission, Forbidden, visible_tenants
from lamplighter.web.bodies import PRINTABLE, Body
from lamplighter.web.describing.shows import shows
from lamplighter.web.file_access import source_of_tenant
from lamplighter.web.given import Ours, Sources, TheApp
from lamplighter.web.refusals import FileSourceNotActive
from lamplighter.web.roles import Caller, Right, needs

OF_TENANT = "/tenants/{tenant_id}/file-sources"
A_SOURCE = f"{OF_TENANT}/{{source_id}}"

router = APIRouter()


class ShownFileSource(Shown, frozen=True, kw_only=True):
    """A source without its credentials. `failure` holds the words of where it is: escape it. `files` are `processed`,
    `pending` or `failed`; until it was `synced_at` once, there may be more than are counted."""

    id: str
    tenant_id: str
    kind: Kind
    name: str
    place: str
    integration_id: str | None
    credentials: str | None
    state: State
    failure: str | None
    phase: Phase
    files: int
    processed: int
    pending: int
    failed: int
    synced_at: datetime | None
    next_sync_at: datetime
    created_at: datetime


class NewFileSource(Body):
    """`integrationId`: of a drive. `credentials`: of any other kind that needs some."""

    kind: Kind
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=PRINTABLE)]
    place: Annotated[str, Field(max_length=LONGEST_PLACE, pattern=PRINTABLE)] = ""
    integration_id: Annotated[str, Field(min_length=1, max_length=LONGEST_ID, pattern=PRINTABLE)] | None = None
    credentials: Annotated[
        dict[str, Annotated[str, Field(max_length=LONGEST_CREDENTIAL)]],
        Field(max_length=MOST_CREDENTIALS, default_factory=dict),
    ]


@router.get(OF_TENANT)
@needs(Right.READ)
@shows(list[ShownFileSource], paged=True)
async def list_sources(tenant_id: str, sources: Sources, limit: Limit = 100, after: Cursor = "") -> Response:
    """The tenant's sources, by id."""
    found = await sources.page(tenant_id=tenant_id, limit=limit, after=after)
    return answers.page([_shown(one) for one in found], limit)


@router.get("/file-sources")
@needs(Right.READ, sorts=True)
@shows(list[ShownFileSource], paged=True)
async def list_all(
    admitted: Admission,
    sources: Sources,
    *,
    tenant: Annotated[str | None, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = None,
    limit: Limit = 100,
    after: Cursor = "",
) -> Response:
    """Those of all tenants that the caller may see, by id."""
    found = await sources.page(tenant_ids=visible_tenants(admitted.caller, tenant), limit=limit, after=after)
    return answers.page([_shown(one) for one in found], limit)


@router.get(A_SOURCE)
@needs(Right.READ)
@shows(ShownFileSource)
async def get_source(tenant_id: str, source_id: str, sources: Sources) -> Response:
    """One of them, with how far it is."""
    return answers.data(_shown(await source_of_tenant(sources, tenant_id, source_id)))


@router.post(OF_TENANT)
@needs(Right.TEND, notes="file-source.add")
@shows(ShownFileSource, status=201)
async def add(tenant_id: str, new: NewFileSource, admitted: Admission, ours: Ours, app: TheApp) -> Response:
    """Index what is there from now on; tenants may add drives of their integrations only."""
    _check_may_add(admitted.caller, new.kind)
    wanted = NewSource(tenant_id=tenant_id, **new.model_dump())
    added = await add_source(ours, wanted, roots=app.settings.file_roots, clock=app.clock)
    admitted.metadata["added"] = added.id
    return answers.data(_shown(added), status=201)


@router.post(f"{A_SOURCE}/pause")
@needs(Right.TEND, notes="file-source.pause")
@shows(ShownFileSource)
async def pause(tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Look at it no more; what is indexed stays, and is found."""
    await source_of_tenant(sources, tenant_id, source_id)
    await sources.pause(source_id)
    return answers.data(_shown(await source_of_tenant(sources, tenant_id, source_id)))


@router.post(f"{A_SOURCE}/resume")
@needs(Right.TEND, notes="file-source.resume")
@shows(ShownFileSource)
async def resume(tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Look at it again, also if it was refused."""
    await source_of_tenant(sources, tenant_id, source_id)
    await sources.resume(source_id)
    return answers.data(_shown(await source_of_tenant(sources, tenant_id, source_id)))


@router.post(f"{A_SOURCE}/sync")
@needs(Right.TEND, notes="file-source.sync")
@shows(ShownFileSource)
async def sync(tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Look at it now, and not only when its time has come."""
    await source_of_tenant(sources, tenant_id, source_id)
    if not await sources.sync_now(source_id):
        raise FileSourceNotActive("the source is paused or refused: resume it, and it is looked at.")
    return answers.data(_shown(await source_of_tenant(sources, tenant_id, source_id)))


@router.delete(A_SOURCE)
@needs(Right.TEND, notes="file-source.remove")
@shows()
async def remove(tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Forget it and all that was indexed of it; nothing changes where its files are."""
    await source_of_tenant(sources, tenant_id, source_id)
    await sources.remove(source_id)
    return answers.nothing()


def _check_may_add(caller: Caller, kind: Kind) -> None:
    """Whoever names a host or a folder makes us look inside our own network or disk."""
    if kind != "drive" and not caller.has(Right.OPERATE):
        raise Forbidden("a tenant may add drives of its integrations only: ask the operator for any other source.")


def _shown(one: FileSource) -> ShownFileSource:
    return ShownFileSource(
        id=one.id,
        tenant_id=one.tenant_id,
        kind=one.kind,
        name=one.name,
        place=one.place,
        integration_id=one.integration_id,
        credentials=REDACTED if one.has_credentials else None,
        state=one.state,
        failure=one.failure,
        phase=one.phase,
        files=one.files,
        processed=one.processed,
        pending=one.pending,
        failed=one.failed,
        synced_at=one.synced_at,
        next_sync_at=one.next_sync_at,
        created_at=one.created_at,
    )
