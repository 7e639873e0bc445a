"""OneDrive, by Microsoft Graph: a drive, or one folder of it by id or by path.

A delta that begins at nothing is the whole list, page by page, and its last link is where the next delta begins. So
cursors are links of Graph's own, which are followed to the provider's hosts only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import Struct

from lamplighter.families.files.source import CursorReset, Entry, FileRefused, Page, SourceRefused
from lamplighter.families.files.sources import cursor as cursors
from lamplighter.families.files.sources.api import Api

HASHES = ("quickXorHash", "sha256Hash", "sha1Hash")


Facet = dict[str, object]  # what it holds is not looked at


class Parent(Struct, frozen=True):
    id: str | None = None


class Content(Struct, frozen=True, rename="camel"):
    """The facet of a file."""

    mime_type: str | None = None
    hashes: dict[str, str] = msgspec.field(default_factory=dict)


class Item(Struct, frozen=True, rename="camel"):
    """A driveItem. Of what is gone little more than the id is told."""

    id: str
    name: str = ""
    size: int | None = None
    folder: Facet | None = None
    package: Facet | None = None  # a notebook: it looks like a folder, and has no content
    file: Content | None = None
    root: Facet | None = None
    deleted: Facet | None = None
    parent_reference: Parent | None = None
    c_tag: str | None = None
    e_tag: str | None = None
    created_date_time: datetime | None = None
    last_modified_date_time: datetime | None = None

    @property
    def is_folder(self) -> bool:
        return self.folder is not None or self.package is not None or self.root is not None


class Items(Struct, frozen=True):
    value: tuple[Item, ...] = ()
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    delta_link: str | None = msgspec.field(default=None, name="@odata.deltaLink")


class Cursor(Struct, frozen=True):
    root: str
    link: str


class OneDrive:
    """A drive. `place`: a folder's id, its path from '/', or '' for all that there is."""

    has_delta = True

    def __init__(self, api: Api, place: str) -> None:
        self._api = api
        self._place = place

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything."""
        return await self._next(await self._begin() if cursor is None else cursors.read(cursor, Cursor))

    async def delta(self, cursor: str) -> Page:
        """The next page of what changed: Graph tells it as it tells the list."""
        return await self._next(cursors.read(cursor, Cursor))

    def open(self, entry: Entry) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The content, from the pre-signed place that Graph redirects to."""
        if entry.is_folder:
            raise FileRefused("a folder or notebook of OneDrive has no content that can be fetched.")
        return self._api.download(self._api.url("content", entry.id))

    async def _begin(self) -> Cursor:
        root = await self._api.ask(Item, self._root_url())
        if not root.is_folder:
            raise SourceRefused(f"{self._place!r:.60} is no folder of this drive: choose another one.")
        link = self._api.url("changes_in", root.id) if self._place else self._api.url("changes")
        return Cursor(root.id, link)

    def _root_url(self) -> str:
        if not self._place:
            return self._api.url("root")
        if not self._place.startswith("/"):
            return self._api.url("item", self._place)
        return self._api.call("root").url + ":" + quote(self._place)

    async def _next(self, at: Cursor) -> Page:
        found = await self._api.ask(Items, self._api.own(at.link))
        following = found.next_link or found.delta_link
        if following is None:
            raise CursorReset(f"{self._api.provider.display_name} does not say where it goes on: list everything anew.")
        latest = {item.id: item for item in found.value if item.id != at.root and item.root is None}
        self._see_that_it_is_there(found, at)
        return Page(
            entries=[_entry(item, at.root) for item in latest.values() if item.deleted is None],
            gone=[item.id for item in latest.values() if item.deleted is not None],
            cursor=cursors.write(Cursor(at.root, self._api.own(following))),
            is_last=found.next_link is None,
        )

    def _see_that_it_is_there(self, found: Items, at: Cursor) -> None:
        if any(item.id == at.root and item.deleted is not None for item in found.value):
            raise SourceRefused("the folder that is indexed is no more: choose another one.")


def _entry(item: Item, root: str) -> Entry:
    parent = item.parent_reference.id if item.parent_reference else None
    content = item.file or Content()
    hashed = next((f"{name}:{content.hashes[name]}" for name in HASHES if content.hashes.get(name)), None)
    return Entry(
        id=item.id,
        name=item.name,
        is_folder=item.is_folder,
        parent=None if parent == root else parent,
        revision=None if item.is_folder else hashed or item.c_tag or item.e_tag,
        size=None if item.is_folder else item.size,
        mime_type=content.mime_type,
        created_at=item.created_date_time,
        modified_at=item.last_modified_date_time,
    )
