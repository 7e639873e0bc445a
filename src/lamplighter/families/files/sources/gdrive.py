"""Google Drive, version 3 of its API: a whole drive, or one folder of it by id.

The whole drive is told as one long list. Google lists no folder with all that is in it, so one folder is walked; then
changes, which are those of the whole drive, are looked at for whether they are in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import msgspec
from msgspec import Struct

from lamplighter.families.files.source import CursorReset, Entry, FileRefused, Page, SourceRefused
from lamplighter.families.files.sources import cursor as cursors
from lamplighter.families.files.sources.api import Api
from lamplighter.families.files.sources.pending import MOST, Part, Pending, look_at_some

FOLDER = "application/vnd.google-apps.folder"
NATIVE = "application/vnd.google-apps."
EXPORTED = {
    f"{NATIVE}document": "text/plain",
    f"{NATIVE}presentation": "text/plain",
    f"{NATIVE}spreadsheet": "text/csv",
}
FIELDS = "id,name,mimeType,parents,trashed,size,md5Checksum,headRevisionId,createdTime,modifiedTime"
DEEPEST = 200  # folders in each other, when it is looked for whether a file is in one


class File(Struct, frozen=True, rename="camel"):
    """A file's resource, as far as it is asked for."""

    id: str
    name: str = ""
    mime_type: str | None = None
    parents: tuple[str, ...] = ()
    trashed: bool = False
    size: int | None = None
    md5_checksum: str | None = None
    head_revision_id: str | None = None
    created_time: datetime | None = None
    modified_time: datetime | None = None

    @property
    def is_folder(self) -> bool:
        return self.mime_type == FOLDER


class Files(Struct, frozen=True, rename="camel"):
    files: tuple[File, ...] = ()
    next_page_token: str | None = None


class Start(Struct, frozen=True, rename="camel"):
    start_page_token: str


class Change(Struct, frozen=True, rename="camel"):
    file_id: str | None = None
    removed: bool = False
    file: File | None = None


class Changes(Struct, frozen=True, rename="camel"):
    changes: tuple[Change, ...] = ()
    next_page_token: str | None = None
    new_start_page_token: str | None = None


class Cursor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`changes`: the page of changes that comes next; what is pending comes before it. `page`: of the whole list."""

    root: str
    changes: str
    page: str | None = None
    pending: tuple[Pending, ...] = ()
    is_last: bool = True


class GoogleDrive:
    """A drive. `place`: a folder's id, or '' for all that there is."""

    has_delta = True

    def __init__(self, api: Api, place: str) -> None:
        self._api = api
        self._place = place

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything."""
        at = await self._begin() if cursor is None else cursors.read(cursor, Cursor)
        if at.pending:
            return await self._walk(at)
        return await self._next_of_all(at)

    async def delta(self, cursor: str) -> Page:
        """The next page of what changed; of a folder that came in from elsewhere, all that is in it."""
        at = cursors.read(cursor, Cursor)
        if at.pending:
            return await self._walk(at)
        url = self._api.url(
            "changes",
            pageToken=at.changes,
            pageSize=str(MOST),
            fields=f"nextPageToken,newStartPageToken,changes(fileId,removed,file({FIELDS}))",
            includeRemoved="true",
        )
        found = await self._api.ask(Changes, url)
        following = found.next_page_token or found.new_start_page_token
        if following is None:
            raise CursorReset(f"{self._api.provider.display_name} does not say where changes go on: list anew.")
        return await self._changed(at, found.changes, following, is_last=found.next_page_token is None)

    def open(self, entry: Entry) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The content; a document of Google's own as text, a table as CSV."""
        kind = entry.mime_type or ""
        if not kind.startswith(NATIVE):
            return self._api.download(self._api.url("file", entry.id, alt="media"))
        if kind not in EXPORTED:
            raise FileRefused(f"{kind.removeprefix(NATIVE):.60} of Google Drive has no content that can be fetched.")
        return self._api.download(self._api.url("export", entry.id, mimeType=EXPORTED[kind]))

    async def _begin(self) -> Cursor:
        """Where changes begin is asked first: what changes while the list is told is in both."""
        start = await self._api.ask(Start, self._api.url("start"))
        root = await self._api.ask(File, self._api.url("file", self._place or "root", fields=FIELDS))
        if root.trashed or not (root.is_folder or not self._place):
            raise SourceRefused(f"{self._place!r:.60} is no folder of this drive any more: choose another one.")
        if self._place:
            return Cursor(root=root.id, changes=start.start_page_token, pending=(Pending(root.id),))
        return Cursor(root=root.id, changes=start.start_page_token)

    async def _next_of_all(self, at: Cursor) -> Page:
        found = await self._files("trashed = false", at.page, MOST)
        entries = [_entry(file, at.root) for file in found.files if file.id != at.root]
        following = msgspec.structs.replace(at, page=found.next_page_token)
        return Page(entries=entries, cursor=cursors.write(following), is_last=found.next_page_token is None)

    async def _walk(self, at: Cursor) -> Page:
        async def look(one: Pending) -> Part:
            wanted = one.folder.replace("\\", "\\\\").replace("'", "\\'")
            found = await self._files(f"'{wanted}' in parents and trashed = false", one.marker, one.limit)
            return Part([_entry(file, at.root) for file in found.files], found.next_page_token)

        entries, pending = await look_at_some(at.pending, look)
        following = msgspec.structs.replace(at, pending=tuple(pending))
        return Page(entries=entries, cursor=cursors.write(following), is_last=not pending and at.is_last)

    async def _files(self, wanted: str, page: str | None, limit: int) -> Files:
        query = {"q": wanted, "pageSize": str(limit), "fields": f"nextPageToken,files({FIELDS})"}
        if page:
            query["pageToken"] = page
        return await self._api.ask(Files, self._api.url("list", **query))

    async def _changed(self, at: Cursor, changes: Sequence[Change], following: str, *, is_last: bool) -> Page:
        entries: dict[str, Entry] = {}
        gone: dict[str, None] = {}
        known: dict[str, bool] = {at.root: True}
        for change in changes:
            if change.file_id is None:
                continue  # of a shared drive itself
            file = change.file
            is_there = file is not None and not change.removed and not file.trashed
            if change.file_id == at.root:
                self._see_that_it_is_there(is_there=is_there)
                continue
            entries.pop(change.file_id, None)
            gone.pop(change.file_id, None)
            if file is not None and is_there and await self._is_inside(file, known):
                entries[file.id] = _entry(file, at.root)
            else:
                gone[change.file_id] = None
        pending = [Pending(entry.id) for entry in entries.values() if entry.is_folder] if self._place else []
        cursor = Cursor(root=at.root, changes=following, pending=tuple(pending), is_last=is_last)
        return Page(
            entries=list(entries.values()),
            gone=list(gone),
            cursor=cursors.write(cursor),
            is_last=is_last and not pending,
        )

    def _see_that_it_is_there(self, *, is_there: bool) -> None:
        if not is_there:
            raise SourceRefused("the folder that is indexed is no more: choose another one.")

    async def _is_inside(self, file: File, known: dict[str, bool]) -> bool:
        """Whether it is in the folder that is indexed, however deep. `known`: of folders that were looked at."""
        if not self._place:
            return True
        passed: list[str] = []
        parent = next(iter(file.parents), None)
        while parent is not None and parent not in known and len(passed) < DEEPEST:
            passed.append(parent)
            parent = await self._parent_of(parent)
        is_inside = parent is not None and known.get(parent, False)
        known.update(dict.fromkeys(passed, is_inside))
        return is_inside

    async def _parent_of(self, folder: str) -> str | None:
        try:
            found = await self._api.ask(File, self._api.url("file", folder, fields=FIELDS), refusal=FileRefused)
        except FileRefused:  # what we may not see is not in what we may
            return None
        return None if found.trashed else next(iter(found.parents), None)


def _entry(file: File, root: str) -> Entry:
    parent = next(iter(file.parents), None)
    return Entry(
        id=file.id,
        name=file.name,
        is_folder=file.is_folder,
        parent=None if parent == root else parent,
        revision=None if file.is_folder else file.md5_checksum or file.head_revision_id or _time(file.modified_time),
        size=file.size,
        mime_type=file.mime_type,
        created_at=file.created_time,
        modified_at=file.modified_time,
    )


def _time(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
