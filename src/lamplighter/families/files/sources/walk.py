"""Walking folders that are known by their paths, in an order that is the same each time.

Each folder is told in the order of its names, then its folders likewise, each with all that is in it. So where the walk
stands is one folder and one name, however many files there are: whoever goes on looks again at the folders on the way
to it. While one folder is told, those that come next are fetched.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from lamplighter.families.files.source import CursorReset, Entry, Page, SourceRefused
from lamplighter.families.files.sources import cursor as cursors

MOST = 1000  # entries of a page
AHEAD = 8  # folders that are fetched at once
KEPT = 64  # fetched folders that wait for their turn
LONGEST_PATH = 4000  # characters: below such a folder a loop is likelier than files
MOST_IN_A_FOLDER = 500_000

Listing = Sequence[Entry]
Look = Callable[[str], Awaitable[Listing | None]]
"""What is in the folder of that path, '' for the root; None if there is none."""


class Position(Struct, frozen=True, omit_defaults=True):
    """`after`: the last name of the folder that was told; None: all of it was. `is_over`: there is nothing else."""

    folder: str = ""
    after: str | None = None
    is_over: bool = False


BEGINNING = Position("", "")
OVER = Position(is_over=True)


class Walk:
    """A walk from page to page. To be closed, for it looks ahead."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._stands: Position | None = None
        self._waiting: list[str] = []  # folders that are still to be told, the next one last
        self._told: Listing = ()  # the folder that is being told
        self._ahead: dict[str, asyncio.Task[Listing | None]] = {}

    async def page(self, cursor: str | None) -> Page:
        """The page that begins there. Raises CursorReset, and what looking raises."""
        position = BEGINNING if cursor is None else cursors.read(cursor, Position)
        if position.is_over:
            raise CursorReset("this cursor is at the end of its list: list everything anew.")
        if position != self._stands:
            await self.aclose()
            await self._go_to(position)
        self._stands = None  # nowhere, if this fails
        entries, position = await self._fill(position)
        self._stands = position
        return Page(entries=entries, cursor=cursors.write(position), is_last=position.is_over)

    async def aclose(self) -> None:
        """Look ahead no more."""
        tasks = list(self._ahead.values())
        self._ahead.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fill(self, position: Position) -> tuple[list[Entry], Position]:
        """A page is full of entries, or of folders that were looked at: a tree of empty ones must not take for ever."""
        entries: list[Entry] = []
        looks = 0
        while True:
            if position.after is not None:
                start = _place_after(self._told, position.after)
                end = start + MOST - len(entries)
                entries += self._told[start:end]
                if end < len(self._told):
                    return entries, Position(position.folder, entries[-1].name)
                self._waiting += _folders_in(self._told)
                position = Position(position.folder)
            if not self._waiting:
                return entries, OVER
            if len(entries) == MOST or looks == MOST:
                return entries, position
            folder = self._waiting.pop()
            self._told = await self._listing(folder)
            looks += 1
            position = Position(folder, "")

    async def _go_to(self, position: Position) -> None:
        """Look again at the folders on the way there: what comes after is what they have behind the way."""
        self._waiting = []
        way = position.folder.split("/") if position.folder else []
        for depth, name in enumerate(way):
            folders = _folders_in(await self._listing("/".join(way[:depth])))
            self._waiting += [path for path in folders if path.rpartition("/")[2] > name]
        self._told = await self._listing(position.folder)
        if position.after is None:
            self._waiting += _folders_in(self._told)

    async def _listing(self, folder: str) -> Listing:
        """What is in it, while those that come next are fetched too. A folder that went meanwhile is empty."""
        asked = self._ahead.pop(folder, None) or self._begin(folder)
        self._fetch_ahead()
        found = await asked
        if found is None and not folder:
            raise SourceRefused("the folder that is indexed is no more: choose another one.")
        return found or ()

    def _begin(self, folder: str) -> asyncio.Task[Listing | None]:
        task = asyncio.create_task(self._fetch(folder))
        task.add_done_callback(_see)
        return task

    async def _fetch(self, folder: str) -> Listing | None:
        found = await self._look(folder)
        if found is not None and len(found) > MOST_IN_A_FOLDER:
            raise SourceRefused(f"a folder holds more than {MOST_IN_A_FOLDER} files: spread them over several.")
        return None if found is None else sorted(found, key=lambda entry: entry.name)

    def _fetch_ahead(self) -> None:
        for folder in self._waiting[:-AHEAD:-1]:
            if folder not in self._ahead:
                self._ahead[folder] = self._begin(folder)
        while len(self._ahead) > KEPT:  # the oldest is the farthest from its turn
            self._ahead.pop(next(iter(self._ahead))).cancel()


def _folders_in(listing: Listing) -> list[str]:
    """Their paths, the first one last."""
    return [entry.id for entry in reversed(listing) if entry.is_folder and len(entry.id) <= LONGEST_PATH]


def _place_after(listing: Listing, name: str) -> int:
    return bisect_right(listing, name, key=lambda entry: entry.name)


def _see(task: asyncio.Task[Listing | None]) -> None:
    """What failed ahead is told when its turn comes, if it does."""
    if not task.cancelled():
        task.exception()
