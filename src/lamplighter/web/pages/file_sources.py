"""`/files`: where tenants' files are, and how far each index is; look at one now, pause it, remove it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.web.answers import Cursor
from lamplighter.web.auth import Admission
from lamplighter.web.bodies import Search
from lamplighter.web.file_access import source_of_tenant
from lamplighter.web.given import Sources
from lamplighter.web.pages.rendering import back, render
from lamplighter.web.roles import Right, needs

PAGE = 50
A_SOURCE = "/tenants/{tenant_id}/file-sources/{source_id}"

router = APIRouter()


@router.get("/files")
@needs(Right.READ)
async def list_sources(
    request: Request, admitted: Admission, sources: Sources, tenant: Search = "", after: Cursor = ""
) -> Response:
    """By id, and what all of them hold together."""
    chosen = tenant.strip() or None
    found = await sources.page(tenant_id=chosen, limit=PAGE + 1, after=after)
    return render(
        request,
        "file_sources.html",
        admitted.caller,
        sources=found[:PAGE],
        counts=await sources.counts(tenant_id=chosen),
        tenant=chosen or "",
        next=found[PAGE - 1].id if len(found) > PAGE else None,
        after=after,
    )


@router.post(f"{A_SOURCE}/pause")
@needs(Right.TEND, notes="file-source.pause")
async def pause(request: Request, tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Look at it no more."""
    await source_of_tenant(sources, tenant_id, source_id)
    return back(request, "files", "source-paused" if await sources.pause(source_id) else "nothing")


@router.post(f"{A_SOURCE}/resume")
@needs(Right.TEND, notes="file-source.resume")
async def resume(request: Request, tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Look at it again."""
    await source_of_tenant(sources, tenant_id, source_id)
    return back(request, "files", "source-resumed" if await sources.resume(source_id) else "nothing")


@router.post(f"{A_SOURCE}/sync")
@needs(Right.TEND, notes="file-source.sync")
async def sync(request: Request, tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Look at it now."""
    await source_of_tenant(sources, tenant_id, source_id)
    return back(request, "files", "source-asked" if await sources.sync_now(source_id) else "nothing")


@router.post(f"{A_SOURCE}/remove")
@needs(Right.TEND, notes="file-source.remove")
async def remove(request: Request, tenant_id: str, source_id: str, sources: Sources) -> Response:
    """Forget it and all that was indexed of it."""
    await source_of_tenant(sources, tenant_id, source_id)
    return back(request, "files", "source-removed" if await sources.remove(source_id) else "nothing")
