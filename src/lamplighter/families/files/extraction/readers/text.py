"""Plain text and what is read as such: CSV, JSON, source code, Markdown with its front matter."""

from __future__ import annotations

import re

from lamplighter.families.files.extraction.charset import text_pieces
from lamplighter.families.files.extraction.document import Document, Found

_FRONT_MATTER = re.compile(r"\A\ufeff?---\r?\n(.{0,8000}?)\n---\r?\n", re.DOTALL)
_FIELD = re.compile(r"^(title|author|date|lang|language):[ \t]*(.{1,1000})$", re.MULTILINE | re.IGNORECASE)
_HEADING = re.compile(r"^#[ \t]+(.{1,1000})$", re.MULTILINE)


def read(document: Document, found: Found) -> None:
    """All of it."""
    for piece in text_pieces(document, found):
        found.add(piece)


def read_markdown(document: Document, found: Found) -> None:
    """All of it; its title is told by its front matter, or is its first heading."""
    for number, piece in enumerate(text_pieces(document, found)):
        if number == 0:
            _read_front_matter(piece, found)
        found.add(piece)


def _read_front_matter(text: str, found: Found) -> None:
    front = _FRONT_MATTER.match(text)
    fields = {key.lower(): value.strip().strip("'\"") for key, value in _FIELD.findall(front[1])} if front else {}
    heading = _HEADING.search(text)
    found.title = fields.get("title") or (heading[1].strip(" \t#") if heading else None)
    found.author = fields.get("author")
    found.created_at = fields.get("date")
    found.language = fields.get("lang") or fields.get("language")
