"""XML read as it comes, without a tree: memory stays flat however deep or long it is. Entities are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol
from xml.parsers import expat

from lamplighter.families.files.extraction.document import Unreadable


class Events(Protocol):
    """What is told of an XML file. Names are local ones: prefixes differ from program to program."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """It ends."""

    def text(self, text: str) -> None:
        """Characters."""


def parse(pieces: Iterable[bytes], events: Events) -> None:
    """Tell `events` of all that is in there. Raises Unreadable."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda name, attributes: events.start(
        _local(name), {_local(key): value for key, value in attributes.items()}
    )
    parser.EndElementHandler = lambda name: events.end(_local(name))
    parser.CharacterDataHandler = events.text
    parser.EntityDeclHandler = _refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)  # noqa: FBT003 - expat takes it by place only
        parser.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:
        raise Unreadable(f"has XML that breaks off or is damaged (line {error.lineno})") from None


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _refuse(*_: object) -> None:
    raise Unreadable("declares XML entities, which may be made to grow without end or to read other files")


class Fields:
    """The first text of each element, for small files of metadata; of `statistics`, the attributes."""

    _LONGEST = 4000

    def __init__(self, statistics: str | None = None) -> None:
        self.values: dict[str, str] = {}
        self.counts: dict[str, str] = {}
        self._statistics = statistics
        self._open: str | None = None

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._open = name if name not in self.values else None
        if name == self._statistics:
            self.counts.update(attributes)

    def end(self, name: str) -> None:  # noqa: ARG002 - whichever it is
        """It ends."""
        self._open = None

    def text(self, text: str) -> None:
        """Characters."""
        if self._open is not None:
            self.values[self._open] = (self.values.get(self._open, "") + text)[: self._LONGEST]


def whole(text: str | None) -> int | None:
    """A number as metadata has it, or None."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
