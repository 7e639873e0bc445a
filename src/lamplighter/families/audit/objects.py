"""Archives' objects as a whole: put where nothing is, read back, and never taken for what they are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from lamplighter.families.audit.packing import Header, Unpacker
from lamplighter.families.audit.storage import ArchiveAltered, ArchiveMissing, ArchiveTaken, Storage
from lamplighter.integrations.auditing.chain import Sealed

LONGEST_HEADER = 4096  # bytes by which an object with the same records may be longer
AT_ONCE = 1000  # records that are read in one go: the loop waits for no more


class Known(Protocol):
    """What is known of an object."""

    @property
    def key(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def size(self) -> int: ...


class Reading:
    """An object that is being read. At its end it is known whether it is what was written."""

    def __init__(self, known: Known, unpacker: Unpacker) -> None:
        self._known = known
        self._unpacker = unpacker

    @property
    def header(self) -> Header:
        """Its first line."""
        return self._unpacker.header

    async def some(self) -> list[Sealed]:
        """The next records; none: that was all. Raises ArchiveAltered."""
        found = await asyncio.to_thread(self._unpacker.some, AT_ONCE)
        if not found and self._unpacker.digest != self._known.digest:
            raise ArchiveAltered(f"the archive {self._known.key} is not what was written: bring it back from a backup.")
        return found

    async def __aiter__(self) -> AsyncIterator[list[Sealed]]:
        while some := await self.some():
            yield some


async def read(storage: Storage, known: Known) -> Reading:
    """Begin to read an object. Raises ArchiveMissing, ArchiveAltered, ArchiveDown."""
    content = await storage.get(known.key, known.size + LONGEST_HEADER)
    return Reading(known, await asyncio.to_thread(Unpacker, known.key, content))


async def read_whole(storage: Storage, known: Known) -> list[tuple[int, str]]:
    """The places and hashes of all that is in it, once it is known to be what was written."""
    return [(one.seq, one.hash) async for some in await read(storage, known) for one in some]


async def put(storage: Storage, known: Known, content: bytes) -> list[tuple[int, str]]:
    """Have the object there, and read it back; returns places and hashes of what it holds.

    Raises:
        ArchiveTaken: something else is under its key.
    """
    is_new = await storage.put_new(known.key, content)
    try:
        return await read_whole(storage, known)
    except (ArchiveAltered, ArchiveMissing) as error:
        raise error if is_new else _taken(storage, known) from None


async def find(storage: Storage, known: Known) -> list[tuple[int, str]] | None:
    """The same of one that may have been put there before; None: there is nothing. Raises ArchiveTaken."""
    try:
        return await read_whole(storage, known)
    except ArchiveMissing:
        return None
    except ArchiveAltered:
        raise _taken(storage, known) from None


def _taken(storage: Storage, known: Known) -> ArchiveTaken:
    return ArchiveTaken(
        f"another object lies in {storage.place} under {known.key}: find out whose it is, and move it away; nothing is "
        "written over."
    )
