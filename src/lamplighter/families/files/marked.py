"""A text with marks around what matched, taken apart, for whoever shows it."""

from __future__ import annotations

import re

from msgspec import Struct

from lamplighter.families.files.words import END_MARK, MARK

_MARKS = re.compile(f"[{MARK}{END_MARK}]")


class Piece(Struct, frozen=True, kw_only=True, rename="camel"):
    """A piece of a text as its file has it, which may look like markup: escape it."""

    text: str
    is_match: bool


def pieces(marked: str) -> list[Piece]:
    """The text in pieces, in order; what matched are pieces of their own."""
    parts = enumerate(_MARKS.split(marked))
    return [Piece(text=part, is_match=number % 2 == 1) for number, part in parts if part]
