"""HTML: the text that is seen, and what its head says. The parser has no tree, so nesting costs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from html.parser import HTMLParser

from lamplighter.families.files.extraction.charset import text_pieces
from lamplighter.families.files.extraction.document import Document, Found

_UNSEEN = frozenset({"script", "style", "template", "noscript", "svg", "title"})
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "mark", "s", "small", "span", "strong"}
)
_CREATED = frozenset({"article:published_time", "dcterms.created", "dc.date", "date"})
_MODIFIED = frozenset({"article:modified_time", "dcterms.modified", "last-modified"})
_LONGEST = 4000


def read(document: Document, found: Found) -> None:
    """What it says and what its head tells of it."""
    read_pieces(text_pieces(document, found), found)


def read_pieces(pieces: Iterable[str], found: Found) -> None:
    """The same, of text that is HTML."""
    page = _Page(found)
    for piece in pieces:
        page.feed(piece)
    page.close()


class _Page(HTMLParser):
    def __init__(self, found: Found) -> None:
        super().__init__(convert_charrefs=True)
        self._found = found
        self._unseen: str | None = None
        self._depth = 0
        self._title = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unseen is not None:
            self._depth += tag == self._unseen
        elif tag in _UNSEEN:
            self._unseen, self._depth = tag, 1
        elif tag == "html":
            self._found.language = dict(attrs).get("lang") or self._found.language
        elif tag == "meta":
            self._read_meta({key: value or "" for key, value in attrs})
        elif tag not in _INLINE:
            self._found.add("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN:  # one that closes itself hides nothing
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unseen:
            self._depth -= 1
            if self._depth <= 0:
                self._unseen = None
        elif self._unseen is None and tag not in _INLINE:
            self._found.add("\n")

    def handle_data(self, data: str) -> None:
        if self._unseen is None:
            self._found.add(data)
        elif self._unseen == "title" and len(self._title) < _LONGEST:
            self._title += data
            self._found.title = self._title[:_LONGEST]

    def _read_meta(self, attributes: dict[str, str]) -> None:
        key = (attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or "").lower()
        content = attributes.get("content", "")[:_LONGEST]
        if key in {"author", "dc.creator", "article:author"}:
            self._found.author = self._found.author or content
        elif key in {"description", "og:description"}:
            self._found.details.setdefault("description", content)
        elif key in _CREATED:
            self._found.created_at = self._found.created_at or content
        elif key in _MODIFIED:
            self._found.modified_at = self._found.modified_at or content
