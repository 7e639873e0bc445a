"""Box: an account, or one folder of it by id.

Box lists one folder at a time, so they are walked. What changed since comes as events of the whole account, doubled and
out of order: they say only which items to look at, and those are told as they are now.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct

from lamplighter.families.files.source import CursorReset, Entry, FileRefused, Page, SourceRefused
from lamplighter.families.files.sources import cursor as cursors
from lamplighter.families.files.sources.api import Api
from lamplighter.families.files.sources.pending import AT_ONCE, Part, Pending, look_at_some

WHOLE = "0"  # the id of an account's root folder
FIELDS = "id,type,name,size,sha1,etag,parent,path_collection,item_status,content_created_at,content_modified_at"
MOST_EVENTS = 500

Kind = Literal["file", "folder"]


class Folder(Struct, frozen=True):
    id: str


class Path(Struct, frozen=True):
    """The folders around an item, from the root on."""

    entries: tuple[Folder, ...] = ()


class Item(Struct, frozen=True):
    """A file, a folder, or a link to a page of the web."""

    id: str
    type: str
    name: str = ""
    size: int | None = None
    sha1: str | None = None
    etag: str | None = None
    parent: Folder | None = None
    path_collection: Path = Path()
    item_status: str = "active"
    content_created_at: datetime | None = None
    content_modified_at: datetime | None = None

    @property
    def is_file_or_folder(self) -> bool:
        return self.type in {"file", "folder"}


class Items(Struct, frozen=True):
    entries: tuple[Item, ...]
    next_marker: str | None = None


class Source(Struct, frozen=True):
    """What an event is about. Other kinds of events are about users, comments, tasks."""

    type: str | None = None
    id: str | None = None
    item_type: str | None = None
    item_id: str | None = None

    @property
    def item(self) -> tuple[str, Kind] | None:
        kind, id_ = (self.item_type, self.item_id) if self.item_id else (self.type, self.id)
        if id_ is None:
            return None
        return (id_, "file") if kind == "file" else (id_, "folder") if kind == "folder" else None


class Event(Struct, frozen=True):
    event_id: str
    source: Source | None = None


class Events(Struct, frozen=True):
    next_stream_position: int | str
    entries: tuple[Event, ...] = ()


class Cursor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`events`: the position in the stream that comes next; what is pending comes before it."""

    events: str
    pending: tuple[Pending, ...] = ()
    is_last: bool = True


class Box:
    """An account. `place`: a folder's id, or '' for all that there is."""

    has_delta = True

    def __init__(self, api: Api, place: str) -> None:
        self._api = api
        self._root = place or WHOLE

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything."""
        return await self._walk(await self._begin() if cursor is None else cursors.read(cursor, Cursor))

    async def delta(self, cursor: str) -> Page:
        """The next page of what changed; of a folder that came in from elsewhere, all that is in it."""
        at = cursors.read(cursor, Cursor)
        if at.pending:
            return await self._walk(at)
        url = self._api.url("changes", stream_position=at.events, limit=str(MOST_EVENTS), stream_type="changes")
        found = await self._api.ask(Events, url)
        following = str(found.next_stream_position)
        events = {event.event_id: event for event in found.entries}
        items = dict.fromkeys(event.source.item for event in events.values() if event.source and event.source.item)
        return await self._changed(items, following, is_last=not found.entries or following == at.events)

    def open(self, entry: Entry) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The content, from the pre-signed place that Box redirects to."""
        if entry.is_folder:
            raise FileRefused("a folder of Box has no content that can be fetched.")
        return self._api.download(self._api.url("content", entry.id))

    async def _begin(self) -> Cursor:
        """Where the stream is now is asked first: what changes while the folders are walked is in both."""
        now = await self._api.ask(Events, self._api.url("start"))
        await self._api.ask(Folder, self._api.url("folder", self._root, fields="id"))
        return Cursor(events=str(now.next_stream_position), pending=(Pending(self._root),))

    async def _walk(self, at: Cursor) -> Page:
        if not at.pending:
            raise CursorReset("this cursor is at the end of its list: list everything anew.")

        async def look(one: Pending) -> Part:
            query = {"usemarker": "true", "limit": str(one.limit), "fields": FIELDS}
            if one.marker:
                query["marker"] = one.marker
            found = await self._items(one.folder, query)
            return Part([self._entry(item) for item in found.entries if item.is_file_or_folder], found.next_marker)

        entries, pending = await look_at_some(at.pending, look)
        following = msgspec.structs.replace(at, pending=tuple(pending))
        return Page(entries=entries, cursor=cursors.write(following), is_last=not pending and at.is_last)

    async def _items(self, folder: str, query: dict[str, str]) -> Items:
        """Nothing if the folder has gone since it was listed: an event says so too."""
        refusal = SourceRefused if folder == self._root else FileRefused
        try:
            return await self._api.ask(Items, self._api.url("list", folder, **query), refusal=refusal)
        except FileRefused:
            return Items(())

    async def _changed(self, items: dict[tuple[str, Kind], None], following: str, *, is_last: bool) -> Page:
        gate = asyncio.Semaphore(AT_ONCE)

        async def look(id_: str, kind: Kind) -> Item | None:
            async with gate:
                return await self._now(id_, kind)

        found = await asyncio.gather(*(look(*item) for item in items))
        there = [item for item in found if item is not None and self._is_inside(item)]
        gone = {id_ for id_, _kind in items} - {item.id for item in there} - {self._root}
        pending = tuple(Pending(item.id) for item in there if item.type == "folder")
        cursor = Cursor(events=following, pending=pending, is_last=is_last)
        return Page(
            entries=[self._entry(item) for item in there],
            gone=sorted(gone),
            cursor=cursors.write(cursor),
            is_last=is_last and not pending,
        )

    async def _now(self, id_: str, kind: Kind) -> Item | None:
        """The item as it is, None if it is gone, in the trash, or not for us to see any more."""
        refusal = SourceRefused if id_ == self._root else FileRefused
        try:
            item = await self._api.ask(Item, self._api.url(kind, id_, fields=FIELDS), refusal=refusal)
        except FileRefused:
            return None
        if item.item_status != "active" and id_ == self._root:
            raise SourceRefused("the folder that is indexed is no more: choose another one.")
        return item if item.item_status == "active" else None

    def _is_inside(self, item: Item) -> bool:
        return item.id != self._root and (
            self._root == WHOLE or any(folder.id == self._root for folder in item.path_collection.entries)
        )

    def _entry(self, item: Item) -> Entry:
        parent = item.parent.id if item.parent else None
        return Entry(
            id=item.id,
            name=item.name,
            is_folder=item.type == "folder",
            parent=None if parent == self._root else parent,
            revision=None if item.type == "folder" else item.sha1 or item.etag,
            size=None if item.type == "folder" else item.size,
            created_at=item.content_created_at,
            modified_at=item.content_modified_at,
        )
