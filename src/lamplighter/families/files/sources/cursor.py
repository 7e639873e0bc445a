"""Cursors as text: what a source has to know to go on, and nothing secret."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from lamplighter.families.files.source import CursorReset, SourceRefused

LONGEST = 1024 * 1024  # characters

T = TypeVar("T", bound=Struct)


def write(cursor: Struct) -> str:
    """As text to be stored. Raises SourceRefused: more is still to be looked at than a cursor should hold."""
    text = msgspec.json.encode(cursor).decode()
    if len(text) > LONGEST:
        raise SourceRefused("too many folders of this source wait to be listed: index a part of it.")
    return text


def read(text: str, kind: type[T]) -> T:
    """From that text. Raises CursorReset if it is no such cursor."""
    try:
        if len(text) <= LONGEST:
            return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        pass
    raise CursorReset("this cursor is none of this source: list everything anew.")
