"""Word documents (.docx)."""

from __future__ import annotations

from lamplighter.families.files.extraction.document import Document, Found
from lamplighter.families.files.extraction.readers.office import add_paragraphs, main_part, numbered, open_parts


def read(document: Document, found: Found) -> None:
    """The text, then notes, headers and footers, without what was deleted."""
    parts = open_parts(document, found)
    add_paragraphs(parts, main_part(parts, "word/document.xml"), found)
    for name in ("word/footnotes.xml", "word/endnotes.xml", *numbered(parts, r"word/(?:header|footer)(\d{1,6})\.xml")):
        if name in parts.names:
            add_paragraphs(parts, name, found)
