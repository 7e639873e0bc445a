"""Dropbox: an account, or one folder of it by path or by id.

What is gone is told by its path only, so the id here is the path: in lower case, for Dropbox holds all spellings for
the same, and only the last part of the one it displays is sure to be right. A move is then one that is gone and one
that is new; its revision, a hash of the content, stays the same.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from lamplighter.families.files.source import Entry, FileRefused, Page, SourceRefused
from lamplighter.families.files.sources import cursor as cursors
from lamplighter.families.files.sources.api import Api

LIMIT = 1000  # entries of a page: Dropbox gives about as many


class Metadata(Struct, frozen=True):
    """A file, a folder, or what was deleted. All have a path but those that are mounted nowhere."""

    tag: str = msgspec.field(name=".tag")
    name: str = ""
    path_lower: str | None = None
    rev: str | None = None
    size: int | None = None
    content_hash: str | None = None
    is_downloadable: bool = True
    client_modified: datetime | None = None
    server_modified: datetime | None = None


class Listed(Struct, frozen=True):
    entries: tuple[Metadata, ...]
    cursor: str
    has_more: bool


class Root(Struct, frozen=True):
    path_lower: str


class Cursor(Struct, frozen=True):
    """`root`: the path of the folder that is indexed, '' for all."""

    root: str
    at: str


Told = TypeVar("Told", Root, Listed)


class Dropbox:
    """An account. `place`: a folder's path from '/', its id as `id:...`, or '' for all that there is."""

    has_delta = True

    def __init__(self, api: Api, place: str) -> None:
        self._api = api
        self._place = "" if place == "/" else place

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything."""
        if cursor is not None:
            return await self.delta(cursor)
        root = (await self._post(Root, "item", {"path": self._place})).path_lower if self._place else ""
        asked = {"path": root, "recursive": True, "limit": LIMIT, "include_non_downloadable_files": False}
        return _page(root, await self._post(Listed, "list", asked))

    async def delta(self, cursor: str) -> Page:
        """The next page of what changed: Dropbox goes on with a list in the same way."""
        at = cursors.read(cursor, Cursor)
        return _page(at.root, await self._post(Listed, "changes", {"cursor": at.at}))

    def open(self, entry: Entry) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The content."""
        if entry.is_folder:
            raise FileRefused("a folder of Dropbox has no content that can be fetched.")
        call = self._api.call("content")
        return self._api.download(call.url, call.method, headers={"Dropbox-API-Arg": _header({"path": entry.id})})

    async def _post(self, kind: type[Told], name: str, argument: dict[str, object]) -> Told:
        call = self._api.call(name)
        return await self._api.ask(kind, call.url, call.method, json=argument)


def _page(root: str, found: Listed) -> Page:
    """Changes are in order: what is told of a path last is what counts, and a folder that goes takes all along."""
    entries: dict[str, Entry] = {}
    gone: dict[str, None] = {}
    for item in found.entries:
        path = item.path_lower
        if path is None or (path == root and item.tag != "deleted"):
            continue
        if path == root:
            raise SourceRefused("the folder that is indexed is no more: choose another one.")
        if item.tag == "deleted":
            entries = {known: entry for known, entry in entries.items() if not (known + "/").startswith(path + "/")}
            gone[path] = None
        else:
            entries[path] = _entry(root, path, item)
    cursor = cursors.write(Cursor(root, found.cursor))
    return Page(entries=list(entries.values()), gone=list(gone), cursor=cursor, is_last=not found.has_more)


def _entry(root: str, path: str, item: Metadata) -> Entry:
    return Entry(
        id=path,
        name=item.name,
        is_folder=item.tag == "folder",
        path=path.removeprefix(root).removeprefix("/"),
        revision=item.content_hash or item.rev,
        size=item.size,
        created_at=item.client_modified,
        modified_at=item.server_modified,
    )


def _header(argument: dict[str, object]) -> str:
    """JSON that a header can hold: `json` escapes all that is not ASCII, but for DEL."""
    return json.dumps(argument).replace("\x7f", "\\u007f")
