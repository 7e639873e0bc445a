"""`/tenants/{tenant}/files`: what is indexed, and what is found by what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from lamplighter.families.files.file import File, Status
from lamplighter.families.files.files import MOST, MOST_FOUND, Hit
from lamplighter.families.files.marked import Piece, pieces
from lamplighter.web import answers
from lamplighter.web.answers import Shown
from lamplighter.web.auth import Admission
from lamplighter.web.describing.shows import shows
from lamplighter.web.file_access import (
    LONGEST_TEXT,
    AfterPath,
    FileId,
    Seen,
    Which,
    Words,
    as_seen_by,
    file_of_tenant,
)
from lamplighter.web.given import TheFiles
from lamplighter.web.roles import Right, needs

OF_TENANT = "/tenants/{tenant_id}/files"

FileLimit = Annotated[int, Query(ge=1, le=MOST)]

router = APIRouter()


class ShownFile(Shown, frozen=True, kw_only=True):
    """A file or a folder. `title`, `author` and `details` were read in it: they are null for who may not see that."""

    id: str
    source_id: str
    name: str
    path: str
    is_folder: bool
    mime_type: str | None
    size: int | None
    created_at: datetime | None
    modified_at: datetime | None
    status: Status
    reason: str | None
    digest: str | None
    title: str | None
    author: str | None
    language: str | None
    pages: int | None
    details: Mapping[str, Any] | None
    indexed_at: datetime | None


class ShownHit(Shown, frozen=True, kw_only=True):
    """A file that was found. Its `name`, and a `snippet` of what it says, in pieces: put together they are the text,
    which may look like markup: escape each."""

    file: ShownFile
    name: list[Piece]
    snippet: list[Piece]


class ShownText(Shown, frozen=True, kw_only=True):
    """What a file says, as much as is kept of that, or as is shown (`isCut`)."""

    text: str
    is_cut: bool


@router.get(OF_TENANT)
@needs(Right.READ)
@shows(list[ShownFile], paged=True)
async def list_files(
    tenant_id: str, admitted: Admission, files: TheFiles, which: Which, *, limit: FileLimit = 100, after: AfterPath = ""
) -> Response:
    """The tenant's files and folders that match every filter, by path: go on while there is a `next`, also after a page
    that is short, since each looks at 10,000 files at most."""
    found = await files.look(tenant_id, which, limit=limit, after=after)
    return answers.page_up_to([_shown(as_seen_by(admitted.caller, one)) for one in found.files], found.next)


@router.get(f"{OF_TENANT}/search")
@needs(Right.READ_CONTENTS, notes="file.search", only_of_staff=True)
@shows(list[ShownHit], paged=True)
async def search(
    tenant_id: str, files: TheFiles, which: Which, *, q: Words, limit: FileLimit = 20, after: Seen = 0
) -> Response:
    """The tenant's files that say all words, "phrases" and beginnings* and none of the -words, the best first."""
    found = await files.search(tenant_id, q, which, limit=limit, after=after)
    seen = after + len(found)
    next_ = str(seen) if len(found) == limit and seen < MOST_FOUND else None
    return answers.page_up_to([_hit(one) for one in found], next_)


@router.get(f"{OF_TENANT}/{{file_id}}")
@needs(Right.READ)
@shows(ShownFile)
async def get_file(tenant_id: str, file_id: FileId, admitted: Admission, files: TheFiles) -> Response:
    """One of them."""
    return answers.data(_shown(as_seen_by(admitted.caller, await file_of_tenant(files, tenant_id, file_id))))


@router.get(f"{OF_TENANT}/{{file_id}}/text")
@needs(Right.READ_CONTENTS, notes="file.read", only_of_staff=True)
@shows(ShownText)
async def get_text(tenant_id: str, file_id: FileId, files: TheFiles) -> Response:
    """What it says, without its form."""
    await file_of_tenant(files, tenant_id, file_id)
    text = await files.text(tenant_id, file_id) or ""
    return answers.data(ShownText(text=text[:LONGEST_TEXT], is_cut=len(text) > LONGEST_TEXT))


def _hit(hit: Hit) -> ShownHit:
    return ShownHit(file=_shown(hit.file), name=pieces(hit.name), snippet=pieces(hit.snippet))


def _shown(file: File) -> ShownFile:
    fields = {name: getattr(file, name) for name in ShownFile.__struct_fields__}
    return ShownFile(**fields | {"id": str(file.id)})
