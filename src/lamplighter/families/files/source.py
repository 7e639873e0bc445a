"""What an index asks of a place that holds files: list all, tell what changed, open one.

A source keeps nothing: where a listing or a delta goes on is a cursor, which its caller stores together with what came
before it. So whoever is killed on the way goes on where the last page was stored.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from lamplighter.core.errors import LamplighterError


class Entry(Struct, frozen=True, kw_only=True):
    """A file or a folder as its source tells of it.

    `id` is the source's own, which a rename does not change, or the path where it has none. A source that has paths
    tells `path`, from the root, with '/' between; one that has folders by id tells `parent`, which may come later than
    what is in it (None: the root). `revision` changes whenever the content does, and tells nothing else.
    """

    id: str
    name: str
    is_folder: bool = False
    parent: str | None = None
    path: str | None = None
    revision: str | None = None
    size: int | None = None
    mime_type: str | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None


class Page(Struct, frozen=True, kw_only=True):
    """Some of what a source tells.

    `entries` are there, as they are now; `gone` are ids that are not any more, each with all that is in it: what is in
    both went first and is there again, without what was in it. `cursor`: where it goes on. `is_last`: after this page
    everything up to now was told; then `cursor` is where the next delta begins, if the source has deltas.
    """

    entries: Sequence[Entry] = ()
    gone: Sequence[str] = ()
    cursor: str
    is_last: bool = False


class Source(Protocol):
    """One place with files. Pages hold a thousand entries or fewer, and the same ones may come again.

    All calls raise SourceDown, SourceRefused, and for an integration's token what `TokenAccess.get` raises.
    """

    @property
    def has_delta(self) -> bool:
        """Whether it can tell what changed. If not, it is listed anew each time, and what no listing has is gone."""

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything that is there; None: the first. Raises CursorReset, for a cursor that is worn."""

    async def delta(self, cursor: str) -> Page:
        """The next page of what changed since. Raises CursorReset."""

    def open(self, entry: Entry) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The content, piece by piece. Raises FileRefused."""


class SourceError(LamplighterError):
    """A source did not do what it was asked."""


class SourceDown(SourceError):
    """It cannot answer now: ask again, not before `retry_after` if it said so."""

    def __init__(self, says: str, retry_after: timedelta | None = None) -> None:
        super().__init__(says)
        self.retry_after = retry_after


class SourceRefused(SourceError):
    """It will not answer until somebody changes something: a right, an address, a folder that is no more."""


class CursorReset(SourceError):
    """The cursor leads nowhere any more: list everything anew."""


class FileRefused(SourceError):
    """The source is well, but this file cannot be had: it is gone, or may not be read, or has no content."""
