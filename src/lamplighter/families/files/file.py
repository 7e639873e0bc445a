"""A file as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args

from msgspec import Struct
from sqlalchemy import Row

from lamplighter.core.clock import maybe_from_us

Status = Literal["pending", "processed", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)

_MOMENTS = ("created_at", "modified_at", "indexed_at")


class File(Struct, frozen=True, kw_only=True):
    """A file or a folder of a source, as its source tells of it, and what was found in it.

    `status`: pending, until it is read; processed; error, with the `reason`. `digest`: SHA-256 of its content, in hex.
    """

    id: int
    tenant_id: str
    source_id: str
    remote_id: str
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

    @property
    def after(self) -> str:
        """What a listing goes on with after it."""
        return f"{self.id}:{self.path}"


def file_of(row: Row[Any]) -> File:
    """What a row of the table says."""
    fields = {name: row._mapping[name] for name in File.__struct_fields__}
    return File(**fields | {name: maybe_from_us(fields[name]) for name in _MOMENTS})
