"""Office files with a password, which are encrypted as a whole."""

from __future__ import annotations

from lamplighter.families.files.extraction.document import Document, Found, Unreadable


def read(document: Document, found: Found) -> None:  # noqa: ARG001 - nothing of it can be read
    """Say so."""
    raise Unreadable("is locked with a password")
