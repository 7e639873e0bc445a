"""What a source told, made fit to be kept: bounded, and of characters that a database takes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from msgspec import Struct

from lamplighter.core.clock import to_us
from lamplighter.families.files import paths
from lamplighter.families.files.paths import NAMELESS, Link
from lamplighter.families.files.source import Entry
from lamplighter.families.files.words import clean, cut

LONGEST_ID = 2000  # bytes, which an index can hold
LONGEST_NAME = 1000
LONGEST_SHORT = 500  # of a type or a revision
LARGEST = 2**63 - 1
SHARDS = 4


class Told(Struct, frozen=True, kw_only=True):
    """An entry as it is kept. `path` is None where its source tells in which folder it is."""

    remote_id: str
    name: str
    is_folder: bool
    parent: str | None
    path: str | None
    mime_type: str | None
    size: int | None
    revision: str | None
    created_at: int | None
    modified_at: int | None

    @property
    def link(self) -> Link:
        """Where it is in the tree of folders."""
        return Link(self.name, self.parent)

    def fields(self) -> dict[str, Any]:
        """The columns that are as its source says."""
        return {name: getattr(self, name) for name in _FIELDS} | {"by_path": self.path is not None}

    def is_other_content(self, row: Any) -> bool:
        """Whether it says something else than when that row was written, as far as its source tells."""
        if self.revision is not None and row.revision is not None:
            return bool(self.revision != row.revision)
        return (self.size, self.modified_at) != (row.size, row.modified_at)


_FIELDS = (
    "remote_id",
    "name",
    "is_folder",
    "parent",
    "mime_type",
    "size",
    "revision",
    "created_at",
    "modified_at",
)


def kept(entries: Iterable[Entry]) -> dict[str, Told]:
    """By their ids; of what was told twice, the last. The root is left out, and an id that no index can hold."""
    return {entry.id: _told(entry) for entry in entries if is_id(entry.id) and not _is_root(entry)}


def is_id(id_: str) -> bool:
    """Whether it can be kept as it is, for its source knows it by nothing else."""
    try:
        return 0 < len(id_.encode()) <= LONGEST_ID and "\0" not in id_
    except UnicodeEncodeError:
        return False


def shard_of(remote_id: str) -> int:
    """Which of the jobs that read a source's files reads this one: the same in every process."""
    return crc32(remote_id.encode()) % SHARDS


def _is_root(entry: Entry) -> bool:
    return entry.path is not None and not entry.path.strip("/")


def _told(entry: Entry) -> Told:
    return Told(
        remote_id=entry.id,
        name=_text(entry.name, LONGEST_NAME) or NAMELESS,
        is_folder=entry.is_folder,
        parent=entry.parent if entry.path is None and entry.parent and is_id(entry.parent) else None,
        path=None if entry.path is None else paths.told(entry.path),
        mime_type=_text(entry.mime_type, LONGEST_SHORT),
        size=None if entry.size is None else max(0, min(entry.size, LARGEST)),
        revision=_text(entry.revision, LONGEST_SHORT),
        created_at=_moment(entry.created_at),
        modified_at=_moment(entry.modified_at),
    )


def _text(text: str | None, longest: int) -> str | None:
    return None if text is None else cut(clean(text), longest)


def _moment(moment: datetime | None) -> int | None:
    """One without a zone is taken for UTC, the same on every machine."""
    if moment is None:
        return None
    return to_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
