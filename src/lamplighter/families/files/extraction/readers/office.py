"""What Word, PowerPoint and Excel files have in common: what is told of them, and text in paragraphs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lamplighter.families.files.extraction.document import Document, Found, Unreadable
from lamplighter.families.files.extraction.xml_events import Fields, parse, whole
from lamplighter.families.files.extraction.zip_parts import ZipParts


def open_parts(document: Document, found: Found) -> ZipParts:
    """The file's parts, after its properties were read."""
    parts = ZipParts(document.file, document.limits.unpacked_bytes)
    core = _fields(parts, "docProps/core.xml")
    found.title = core.get("title")
    found.author = core.get("creator") or core.get("lastModifiedBy")
    found.language = core.get("language")
    found.created_at, found.modified_at = core.get("created"), core.get("modified")
    for key in ("subject", "keywords", "description"):
        if core.get(key):
            found.details[key] = core[key]
    found.pages = whole(_fields(parts, "docProps/app.xml").get("Pages"))
    return parts


def _fields(parts: ZipParts, name: str) -> dict[str, str]:
    fields = Fields()
    if name in parts.names:
        parse(parts.read(name), fields)
    return fields.values


def numbered(parts: ZipParts, pattern: str) -> list[str]:
    """Names of parts with a number in them, in its order."""
    found = [(int(match[1]), name) for name in parts.names if (match := re.fullmatch(pattern, name, re.ASCII))]
    return [name for _, name in sorted(found)]


def add_paragraphs(parts: ZipParts, name: str, found: Found) -> None:
    """The text of a part."""
    parse(parts.read(name), _Paragraphs(found))
    found.add("\n")


def main_part(parts: ZipParts, usual: str) -> str:
    """Where the document is. Raises Unreadable."""
    if usual not in parts.names:
        raise Unreadable(f"has no {usual}")
    return usual


class _Paragraphs:
    """Text is in `t`, paragraphs are `p`; a `Fallback` says again what the newer form beside it has said."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._in_text = False
        self._fallbacks = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - none of them is text
        self._fallbacks += name == "Fallback"
        self._in_text = name == "t"
        if name in {"tab", "br", "cr", "tc"}:
            self._found.add(" " if name in {"tab", "tc"} else "\n")

    def end(self, name: str) -> None:
        self._fallbacks -= name == "Fallback"
        self._in_text = False
        if name == "p":
            self._found.add("\n")

    def text(self, text: str) -> None:
        if self._in_text and not self._fallbacks:
            self._found.add(text)
