"""What kreuzberg reads and the light tier does not: Office files of before 2007, RTF, Outlook's mail, EPUB."""

from __future__ import annotations

from collections.abc import Mapping

import kreuzberg

from lamplighter.families.files.extraction.document import Document, Found, Unreadable


def read(document: Document, found: Found) -> None:
    """Text, and the few fields that all kinds share. It reads characters only: no OCR, no network."""
    config = kreuzberg.ExtractionConfig(use_cache=False)
    try:
        result = kreuzberg.extract_bytes_sync(document.file.read(), document.mime_type, config=config)
    except kreuzberg.KreuzbergError:
        raise Unreadable("is damaged, or of a version that kreuzberg cannot read") from None
    metadata: Mapping[str, object] = dict(result.metadata)
    authors = metadata.get("authors")
    found.title = _text(metadata.get("title"))
    found.author = ", ".join(map(str, authors)) if isinstance(authors, list) else _text(metadata.get("created_by"))
    found.created_at, found.modified_at = _text(metadata.get("created_at")), _text(metadata.get("modified_at"))
    found.add(result.content)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
