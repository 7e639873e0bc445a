"""`/tenants/{tenant}/files`: a tenant's files, by path or by what they say; one of them, and its text.

Whoever searches in files or reads one is noted, so these are pages of their own, and do not keep themselves fresh.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lamplighter.families.files.file import STATUSES
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.files import MOST_FOUND, MOST_LOOKED_AT, Filter
from lamplighter.web.auth import Admission
from lamplighter.web.file_access import (
    LONGEST_TEXT,
    AfterPath,
    FileId,
    Seen,
    Which,
    Words,
    as_seen_by,
    file_of_tenant,
    source_of_tenant,
)
from lamplighter.web.given import Sources, TheFiles
from lamplighter.web.pages.rendering import render
from lamplighter.web.roles import Right, needs

PAGE = 50
FOUND = 20  # in one page of a search
OF_TENANT = "/tenants/{tenant_id}/files"
A_FILE = f"{OF_TENANT}/{{file_id}}"

router = APIRouter()


@router.get(OF_TENANT)
@needs(Right.READ)
async def list_files(
    request: Request,
    tenant_id: str,
    admitted: Admission,
    *,
    sources: Sources,
    files: TheFiles,
    which: Which,
    after: AfterPath = "",
) -> Response:
    """Files and folders by path."""
    found = await files.look(tenant_id, which, limit=PAGE, after=after)
    return render(
        request,
        "files.html",
        admitted.caller,
        **await _shared(sources, tenant_id, which),
        files=[as_seen_by(admitted.caller, one) for one in found.files],
        next=found.next,
        is_short=len(found.files) < PAGE,
        most=MOST_LOOKED_AT,
        after=after,
    )


@router.get(f"{OF_TENANT}/search")
@needs(Right.READ_CONTENTS, notes="file.search", only_of_staff=True)
async def search(
    request: Request,
    tenant_id: str,
    admitted: Admission,
    *,
    sources: Sources,
    files: TheFiles,
    which: Which,
    q: Words = "",
    after: Seen = 0,
) -> Response:
    """Files by what they say, the best first, with what matched marked."""
    found = await files.search(tenant_id, q, which, limit=FOUND + 1, after=after)
    has_more = len(found) > FOUND and after + FOUND < MOST_FOUND
    return render(
        request,
        "files_found.html",
        admitted.caller,
        **await _shared(sources, tenant_id, which),
        q=q,
        hits=found[:FOUND],
        next=after + FOUND if has_more else None,
        after=after,
    )


@router.get(A_FILE)
@needs(Right.READ)
async def see_file(
    request: Request, tenant_id: str, file_id: FileId, admitted: Admission, *, sources: Sources, files: TheFiles
) -> Response:
    """All that is known of one, but for what it says."""
    file = as_seen_by(admitted.caller, await file_of_tenant(files, tenant_id, file_id))
    source = await source_of_tenant(sources, tenant_id, file.source_id)
    return render(request, "file.html", admitted.caller, file=file, source=source)


@router.get(f"{A_FILE}/text")
@needs(Right.READ_CONTENTS, notes="file.read", only_of_staff=True)
async def read_file(
    request: Request, tenant_id: str, file_id: FileId, admitted: Admission, files: TheFiles
) -> Response:
    """What it says."""
    file = await file_of_tenant(files, tenant_id, file_id)
    text = await files.text(tenant_id, file_id) or ""
    shown, is_cut = text[:LONGEST_TEXT], len(text) > LONGEST_TEXT
    return render(request, "file_text.html", admitted.caller, file=file, text=shown, is_cut=is_cut)


async def _shared(sources: FileSources, tenant_id: str, which: Filter) -> dict[str, Any]:
    """What both lists show around what they list."""
    return {
        "tenant": tenant_id,
        "sources": await sources.page(tenant_id=tenant_id),
        "statuses": STATUSES,
        "filters": {
            "source": which.source_id or "",
            "type": which.mime_type or "",
            "language": which.language or "",
            "status": which.status or "",
            "folder": which.under or "",
        },
    }
