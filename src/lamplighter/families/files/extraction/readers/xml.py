"""XML and SVG: the characters between their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lamplighter.families.files.extraction.document import Document, Found
from lamplighter.families.files.extraction.xml_events import parse

_UNSEEN = frozenset({"style", "script", "metadata"})


def read(document: Document, found: Found) -> None:
    """Texts, and an SVG's title."""
    parse(_pieces(document), _Texts(found))


def _pieces(document: Document) -> Iterator[bytes]:
    left = document.limits.file_bytes
    while left > 0 and (piece := document.file.read(min(65536, left))):
        left -= len(piece)
        yield piece


class _Texts:
    def __init__(self, found: Found) -> None:
        self._found = found
        self._names: list[str] = []
        self._unseen = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - they are for programs
        self._names.append(name)
        self._unseen += name in _UNSEEN

    def end(self, name: str) -> None:
        self._names.pop()
        self._unseen -= name in _UNSEEN
        self._found.add("\n")

    def text(self, text: str) -> None:
        if self._unseen:
            return
        if self._names[-1:] == ["title"] and self._found.title is None:
            self._found.title = text[:4000]
        self._found.add(text)
