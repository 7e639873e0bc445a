"""A place with files, in memory: it can be changed, listed and asked what changed, with pages of any size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from lamplighter.families.files.extraction.extracted import Extracted, ExtractionFailed
from lamplighter.families.files.source import CursorReset, Entry, FileRefused, Page

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Item:
    """A file or a folder there."""

    id: str
    name: str
    parent: str | None
    text: str | None  # None: a folder
    revision: int = 0


@dataclass
class Tree:
    """A drive: folders by id, and a journal of what changed. `by_path`: ids are paths, as on a file server."""

    by_path: bool = False
    has_delta: bool = True
    page_size: int = 3
    items: dict[str, Item] = field(default_factory=dict)
    journal: list[tuple[bool, str]] = field(default_factory=list)  # whether it went, and its id
    first_valid: int = 0  # of cursors
    made: int = 0
    opened: list[str] = field(default_factory=list)

    def add(self, name: str, parent: str | None = None, text: str | None = None) -> str:
        self.made += 1
        id_ = f"{self.made:03}"
        if not self._is_taken(name, parent):
            self.items[id_] = Item(id_, name, parent, text, self.made)
            self._tell(id_)
        return id_

    def edit(self, id_: str, text: str) -> None:
        self.made += 1
        self.items[id_].text, self.items[id_].revision = text, self.made
        self._tell(id_)

    def move(self, id_: str, name: str, parent: str | None) -> None:
        """What is in a folder moves with it; only where ids are paths all of it is told."""
        if self._is_within(parent, id_) or self._is_taken(name, parent):
            return
        if self.by_path:
            self.journal.append((True, self.told_id(id_)))
        self.items[id_].name, self.items[id_].parent = name, parent
        self._tell(id_, with_inside=self.by_path)

    def remove(self, id_: str) -> None:
        """Of what is in a folder nothing is told."""
        self.journal.append((True, self.told_id(id_)))
        self._drop(id_)

    def reset(self) -> None:
        """No cursor that was given out is good any more."""
        self.first_valid = len(self.journal) + 1
        self.journal.append((True, "nothing"))

    def inside(self, id_: str | None) -> list[str]:
        return [one.id for one in self.items.values() if one.parent == id_]

    def way(self, id_: str) -> str:
        item = self.items[id_]
        return item.name if item.parent is None else f"{self.way(item.parent)}/{item.name}"

    def told_id(self, id_: str) -> str:
        return self.way(id_) if self.by_path else id_

    def told(self) -> dict[str, Item]:
        """All that is there, by the ids that are told."""
        return {self.told_id(id_): item for id_, item in self.items.items()}

    def _tell(self, id_: str, *, with_inside: bool = False) -> None:
        self.journal.append((False, self.told_id(id_)))
        for child in self.inside(id_) if with_inside else ():
            self._tell(child, with_inside=True)

    def _drop(self, id_: str) -> None:
        for child in self.inside(id_):
            self._drop(child)
        del self.items[id_]

    def _is_taken(self, name: str, parent: str | None) -> bool:
        return self.by_path and any(self.items[one].name == name for one in self.inside(parent))

    def _is_within(self, id_: str | None, folder: str) -> bool:
        while id_ is not None:
            if id_ == folder:
                return True
            id_ = self.items[id_].parent
        return False

    def entry(self, item: Item) -> Entry:
        is_file = item.text is not None
        return Entry(
            id=self.told_id(item.id),
            name=item.name,
            is_folder=not is_file,
            parent=None if self.by_path else item.parent,
            path=self.way(item.id) if self.by_path else None,
            revision=str(item.revision) if is_file else None,
            size=len(item.text or "") if is_file else None,
            mime_type="text/plain" if is_file else None,
            modified_at=MOMENT,
        )

    # As a Source

    async def list(self, cursor: str | None) -> Page:
        """By id backwards, so that what is in a folder often comes before it."""
        since, _, last = (cursor or f"{len(self.journal)}:~").partition(":")
        there = self.told()
        ids = sorted((one for one in there if one < last), reverse=True)
        some, rest = ids[: self.page_size], ids[self.page_size :]
        return Page(
            entries=[self.entry(there[one]) for one in some],
            cursor=f"{since}:{some[-1]}" if rest else since,
            is_last=not rest,
        )

    async def delta(self, cursor: str) -> Page:
        since = int(cursor)
        if since < self.first_valid:
            raise CursorReset("the cursor is too old")
        changes, there = self.journal[since : since + self.page_size], self.told()
        return Page(
            entries=[self.entry(there[id_]) for is_gone, id_ in changes if not is_gone and id_ in there],
            gone=[id_ for is_gone, id_ in changes if is_gone or id_ not in there],
            cursor=str(since + len(changes)),
            is_last=since + len(changes) == len(self.journal),
        )

    @asynccontextmanager
    async def open(self, entry: Entry) -> AsyncIterator[AsyncIterator[bytes]]:
        self.opened.append(entry.id)
        item = self.told().get(entry.id)
        if item is None or item.text is None:
            raise FileRefused("the file is gone")
        yield pieces(item.text)


async def pieces(text: str) -> AsyncIterator[bytes]:
    for at in range(0, len(text), 7):
        yield text[at : at + 7].encode()


class Stub:
    """An extractor that takes a file for its text, and its first word for its title; 'broken' ones fail."""

    def __init__(self) -> None:
        self.read: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def extract(self, path: Path, *, name: str, mime_type: str | None) -> Extracted:  # noqa: ARG002 - as it is called
        text = path.read_text()
        self.read.append(name)
        if "broken" in text:
            raise ExtractionFailed("the file is broken")
        words = text.split()
        return Extracted(mime_type="text/x-read", text=text, title=words[0] if words else None, pages=1)
