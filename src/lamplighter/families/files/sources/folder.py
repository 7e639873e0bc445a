"""A folder of this machine and all that is below it. It tells nothing of what changed.

No symbolic link is followed, neither in a listing nor in the path of a file: one could lead anywhere.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from lamplighter.families.files.source import CursorReset, Entry, FileRefused, Page, SourceDown, SourceRefused
from lamplighter.families.files.sources.pieces import PIECE
from lamplighter.families.files.sources.walk import Listing, Walk

INSIDE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
A_FILE = INSIDE | os.O_NONBLOCK  # a pipe that took a file's place must not hold us


class LocalFolder:
    """`root`: its absolute path, which may itself hold links."""

    has_delta = False

    def __init__(self, root: Path) -> None:
        self._root = root
        self._walk = Walk(lambda folder: asyncio.to_thread(self._look, folder))

    async def list(self, cursor: str | None) -> Page:
        """The next page of everything that is there."""
        return await self._walk.page(cursor)

    async def delta(self, cursor: str) -> Page:  # noqa: ARG002 - as the protocol has it
        """There is none."""
        raise CursorReset("a folder does not tell what changed: list everything anew.")

    @asynccontextmanager
    async def open(self, entry: Entry) -> AsyncIterator[AsyncIterator[bytes]]:
        """The content."""
        file = await asyncio.to_thread(self._open, entry.id)
        try:
            yield _pieces_of(file)
        finally:
            await asyncio.to_thread(file.close)

    async def aclose(self) -> None:
        """Look ahead no more."""
        await self._walk.aclose()

    def _look(self, folder: str) -> Listing | None:
        try:
            descriptor = self._descend(folder.split("/") if folder else [])
        except OSError as error:
            if folder:
                return None  # gone meanwhile, or not for us
            raise SourceRefused(f"the folder cannot be listed ({error.strerror}): make it readable.") from error
        try:
            with os.scandir(descriptor) as found:
                return [told for one in found if (told := _entry(folder, one)) is not None]
        except OSError as error:
            raise SourceDown(f"the folder cannot be listed ({error.strerror}): try again later.") from error
        finally:
            os.close(descriptor)

    def _open(self, path: str) -> BinaryIO:
        *folders, name = path.split("/")
        try:
            folder = self._descend(folders)
            try:
                descriptor = os.open(name, A_FILE, dir_fd=folder)
            finally:
                os.close(folder)
        except (OSError, ValueError) as error:
            raise FileRefused("the file cannot be opened: it is gone, or may not be read.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileRefused("it is no file with a content.")
        return os.fdopen(descriptor, "rb", buffering=0)

    def _descend(self, names: Sequence[str]) -> int:
        """The folder, opened name by name, so that no link is followed whoever puts one there meanwhile."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in names:
            outer = descriptor
            try:
                if name in {"", ".", ".."}:
                    raise FileNotFoundError(2, "No such file or directory")
                descriptor = os.open(name, INSIDE | os.O_DIRECTORY, dir_fd=outer)
            finally:
                os.close(outer)
        return descriptor


async def _pieces_of(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    except OSError as error:
        raise SourceDown(f"the file cannot be read ({error.strerror}): try again later.") from error


def _entry(folder: str, one: os.DirEntry[str]) -> Entry | None:
    """None for links, pipes and the like, for names that are no text, and for what went meanwhile."""
    try:
        one.name.encode()
        found = one.stat(follow_symlinks=False)
    except (OSError, UnicodeEncodeError):
        return None
    is_folder = stat.S_ISDIR(found.st_mode)
    if not is_folder and not stat.S_ISREG(found.st_mode):
        return None
    path = f"{folder}/{one.name}" if folder else one.name
    return Entry(
        id=path,
        name=one.name,
        is_folder=is_folder,
        path=path,
        revision=None if is_folder else f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}",
        size=None if is_folder else found.st_size,
        modified_at=datetime.fromtimestamp(found.st_mtime, UTC),
    )
