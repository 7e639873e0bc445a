"""The parts of a zip file, which may pretend to be smaller than they are."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from lamplighter.families.files.extraction.document import Unreadable

_MOST_ENTRIES = 20_000
_MOST_RATIO = 300  # of unpacked to packed; the densest sheets of numbers reach a third of it
_RATIO_COUNTS_FROM = 1024 * 1024  # bytes: a short run of blanks is no attack
_PIECE = 64 * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without a bound, and no office program uses them


class ZipParts:
    """Reads parts in pieces. Raises Unreadable as soon as more was unpacked in all than may be."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            raise Unreadable("is a zip file that breaks off or is damaged") from None
        self._most_bytes = most_bytes
        self._unpacked = 0
        if len(self._zip.namelist()) > _MOST_ENTRIES:
            raise Unreadable(f"is a zip file with more than {_MOST_ENTRIES} entries")
        self.names = frozenset(self._zip.namelist())

    def read(self, name: str) -> Iterator[bytes]:
        """A part piece by piece; nothing if there is none."""
        if name not in self.names:
            return
        info = self._zip.getinfo(name)
        if info.flag_bits & 1:
            raise Unreadable("is locked with a password")
        if info.compress_type not in _METHODS:
            raise Unreadable("is packed in a way that no office program uses")
        length = 0
        with self._zip.open(info) as part:
            while piece := part.read(_PIECE):
                length += len(piece)
                self._count(len(piece), length, info.compress_size)
                yield piece

    def read_all(self, name: str, most: int = _PIECE) -> bytes:
        """A small part, cut."""
        data = b""
        for piece in self.read(name):
            data += piece
            if len(data) >= most:
                break
        return data[:most]

    def _count(self, added: int, length: int, packed: int) -> None:
        self._unpacked += added
        if self._unpacked > self._most_bytes:
            raise Unreadable(f"unpacks to more than {self._most_bytes // 1024 // 1024} MB")
        if length > _RATIO_COUNTS_FROM and length > _MOST_RATIO * max(packed, 1):
            raise Unreadable(f"is packed more than {_MOST_RATIO} times, as a zip bomb is")
