"""A source of files as it is kept: whose it is, where it is, and how far its index is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from msgspec import Struct
from sqlalchemy import Row

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.core.errors import LamplighterError

Kind = Literal["drive", "webdav", "s3", "folder"]
State = Literal["active", "paused", "refused", "removed"]
Phase = Literal["listing", "pruning", "delta"]

KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST_NAME = 100
LONGEST_PLACE = 1000
MOST_CREDENTIALS = 10
LONGEST_CREDENTIAL = 10_000


class BadSource(LamplighterError):
    """There can be no such source of files."""


class NewSource(Struct, frozen=True, kw_only=True):
    """A source to add. `integration_id`: of a drive. `credentials`: of any other that needs some, by name."""

    tenant_id: str
    kind: Kind
    name: str
    place: str = ""
    integration_id: str | None = None
    credentials: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"NewSource(tenant_id={self.tenant_id!r}, kind={self.kind!r}, name={self.name!r})"


class FileSource(Struct, frozen=True, kw_only=True):
    """A source, and what its index holds: so many files, of which some are still to be read, and some cannot be.

    `failure`: why it is refused, or did not answer the last time. `interval`: seconds from one look to the next.
    `has_credentials`: some are stored, which only reading it takes out.

    `is_listed`: everything that was there was told once, so that what is missing in the index is missing there.
    """

    id: str
    tenant_id: str
    kind: Kind
    name: str
    place: str
    integration_id: str | None
    state: State
    failure: str | None
    phase: Phase
    interval: int
    next_sync_at: datetime
    synced_at: datetime | None
    files: int
    pending: int
    failed: int
    created_at: datetime
    has_credentials: bool

    @property
    def is_listed(self) -> bool:
        """Whether a listing has ended."""
        return self.synced_at is not None

    @property
    def processed(self) -> int:
        """Files that were read."""
        return self.files - self.pending - self.failed


class Counts(Struct, frozen=True, kw_only=True):
    """What all sources of somebody hold together."""

    sources: int
    files: int
    pending: int
    failed: int


def checked(new: NewSource) -> NewSource:
    """The same, if it can be. Raises BadSource."""
    if new.kind not in KINDS:
        raise BadSource(f"there is no kind of source {new.kind!r:.40}: give one of {', '.join(KINDS)}.")
    _check_text("name", new.name, LONGEST_NAME)
    if new.place:
        _check_text("place", new.place, LONGEST_PLACE)
    if (new.kind == "drive") != (new.integration_id is not None):
        raise BadSource("a drive is read by way of an integration, and nothing else is: give integration_id for it.")
    if new.kind != "drive" and not new.place:
        raise BadSource(f"a source of kind {new.kind} needs a place: say where the files are.")
    if urlsplit(new.place).password is not None:
        raise BadSource("the place holds a password: give it as a credential, which is kept encrypted.")
    _check_credentials(new.credentials)
    return new


def source_of(row: Row[Any]) -> FileSource:
    """What a row of the table says."""
    fields = {name: row._mapping[name] for name in FileSource.__struct_fields__ if name != "has_credentials"}
    moments = {
        "next_sync_at": from_us(row.next_sync_at),
        "synced_at": maybe_from_us(row.synced_at),
        "created_at": from_us(row.created_at),
    }
    return FileSource(**fields | moments, has_credentials=row.credentials is not None)


def _check_text(what: str, text: str, longest: int) -> None:
    if not 0 < len(text) <= longest or not text.isprintable() or text != text.strip():
        raise BadSource(f"the {what} of a source has 1 to {longest} printable characters, and no spaces around it.")


def _check_credentials(credentials: Mapping[str, str]) -> None:
    if len(credentials) > MOST_CREDENTIALS:
        raise BadSource(f"a source has {MOST_CREDENTIALS} credentials at most: leave some out.")
    for name, value in credentials.items():
        if not 0 < len(name) <= LONGEST_NAME or len(value) > LONGEST_CREDENTIAL:
            raise BadSource(f"a credential has a name, and {LONGEST_CREDENTIAL} characters at most: shorten it.")
