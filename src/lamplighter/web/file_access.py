"""What routes about files have in common: whose file or source a path names, and what of a file its caller may see."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Path, Query
from msgspec.structs import replace

from lamplighter.families.files import query
from lamplighter.families.files.file import File, Status
from lamplighter.families.files.file_source import FileSource
from lamplighter.families.files.file_sources import FileSources
from lamplighter.families.files.files import MOST_FOUND, Files, Filter
from lamplighter.web.auth import LONGEST_ID, is_id
from lamplighter.web.bodies import PRINTABLE
from lamplighter.web.refusals import NoSuchFile, NoSuchFileSource
from lamplighter.web.roles import Caller, Right

LONGEST_PATH = 2000  # characters
LONGEST_AFTER = LONGEST_PATH + 20  # a path, and the number of the file that has it
LARGEST_ID = 2**63 - 1
LONGEST_TEXT = 100_000  # characters of a file that are shown

FileId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Words = Annotated[str, Query(max_length=query.LONGEST)]
Seen = Annotated[int, Query(ge=0, le=MOST_FOUND)]
AfterPath = Annotated[str, Query(max_length=LONGEST_AFTER)]


async def _filter(
    *,
    source: Annotated[str, Query(max_length=LONGEST_ID, pattern=PRINTABLE)] = "",
    type: Annotated[str, Query(max_length=100)] = "",  # noqa: A002 - what a query calls it
    language: Annotated[str, Query(max_length=20)] = "",
    folder: Annotated[str, Query(max_length=LONGEST_PATH)] = "",
    status: Status | Literal[""] = "",
) -> Filter:
    """What is left empty filters nothing."""
    return Filter(
        source_id=source or None,
        mime_type=type or None,
        language=language or None,
        under=folder or None,
        status=status or None,
    )


Which = Annotated[Filter, Depends(_filter)]


async def source_of_tenant(sources: FileSources, tenant_id: str, source_id: str) -> FileSource:
    """Raises NoSuchFileSource."""
    found = await sources.get(source_id) if is_id(source_id) else None
    if found is None or found.tenant_id != tenant_id:
        raise NoSuchFileSource("the tenant has no such source of files: list its sources to find their ids.")
    return found


async def file_of_tenant(files: Files, tenant_id: str, file_id: int) -> File:
    """Raises NoSuchFile."""
    found = await files.get(tenant_id, file_id)
    if found is None:
        raise NoSuchFile("the tenant has no such file (any more): list its files to find their ids.")
    return found


def as_seen_by(caller: Caller, file: File) -> File:
    """The file without what was read in it, for who may not see that."""
    return file if caller.has(Right.READ_CONTENTS) else replace(file, title=None, author=None, details=None)
