"""OpenDocument: texts, sheets, slides and drawings."""

from __future__ import annotations

from collections.abc import Mapping

from lamplighter.families.files.extraction.document import Document, Found, Unreadable
from lamplighter.families.files.extraction.xml_events import Fields, parse, whole
from lamplighter.families.files.extraction.zip_parts import ZipParts

_UNSEEN = frozenset({"scripts", "tracked-changes", "automatic-styles", "font-face-decls"})


def read(document: Document, found: Found) -> None:
    """What its meta.xml tells, then its content."""
    parts = ZipParts(document.file, document.limits.unpacked_bytes)
    if b"encryption-data" in parts.read_all("META-INF/manifest.xml"):
        raise Unreadable("is locked with a password")
    if "content.xml" not in parts.names:
        raise Unreadable("has no content.xml")
    if "meta.xml" in parts.names:
        _read_meta(parts, found)
    parse(parts.read("content.xml"), _Content(found))


def _read_meta(parts: ZipParts, found: Found) -> None:
    meta = Fields(statistics="document-statistic")
    parse(parts.read("meta.xml"), meta)
    found.title, found.language = meta.values.get("title"), meta.values.get("language")
    found.author = meta.values.get("initial-creator") or meta.values.get("creator")
    found.created_at, found.modified_at = meta.values.get("creation-date"), meta.values.get("date")
    found.pages = whole(meta.counts.get("page-count") or meta.counts.get("table-count"))


class _Content:
    def __init__(self, found: Found) -> None:
        self._found = found
        self._unseen = 0
        self._paragraphs = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:  # noqa: ARG002 - none of them is text
        self._unseen += name in _UNSEEN
        self._paragraphs += name in {"p", "h"}
        if name in {"tab", "s", "line-break"}:
            self._found.add(" ")

    def end(self, name: str) -> None:
        self._unseen -= name in _UNSEEN
        if name in {"p", "h"}:
            self._paragraphs -= 1
            self._found.add("\n")

    def text(self, text: str) -> None:
        if self._paragraphs and not self._unseen:
            self._found.add(text)
