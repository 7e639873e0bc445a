"""A file that is being read, and what its reader has found so far."""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO

from msgspec import Struct

from lamplighter.families.files.extraction.clean import clean_text
from lamplighter.families.files.extraction.limits import Limits


class Unreadable(Exception):
    """The file cannot be read as what it is; the text completes the sentence 'it …'."""


class Enough(Exception):
    """The text is as long as it may be: the reader is to stop."""


class Document(Struct, frozen=True, kw_only=True):
    """The open file, at its beginning. `mime_type` is what its content says."""

    file: BinaryIO
    name: str
    size: int
    mime_type: str
    limits: Limits


class Found(Struct, kw_only=True):
    """What a reader tells by and by, so that it is not lost when the file turns out to be broken further on."""

    text_chars: int
    title: str | None = None
    author: str | None = None
    language: str | None = None
    pages: int | None = None
    created_at: datetime | str | None = None
    modified_at: datetime | str | None = None
    details: dict[str, str | int | float | bool] = {}
    is_cut: bool = False
    _pieces: list[str] = []
    _length: int = 0
    _last: str = "\n"

    def add(self, text: str) -> None:
        """Text that goes on; blanks after blanks count for nothing. Raises Enough."""
        piece = clean_text(text)
        piece = piece.lstrip() if self._last == "\n" else piece.lstrip(" ") if self._last == " " else piece
        room = self.text_chars - self._length
        if len(piece) > room:
            self._pieces.append(piece[:room])
            self._length = self.text_chars
            self.is_cut = True
            raise Enough
        if piece:
            self._pieces.append(piece)
            self._length += len(piece)
            self._last = piece[-1]

    def break_off(self, reason: str) -> None:
        """There is more, which cannot be read."""
        self.is_cut = True
        self.details = {"damaged": reason, **self.details}

    @property
    def text(self) -> str:
        """All of it."""
        return clean_text("".join(self._pieces)).strip()
