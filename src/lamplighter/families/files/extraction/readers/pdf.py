"""PDF, by pypdf."""

from __future__ import annotations

import logging

from pypdf import DocumentInformation, PdfReader
from pypdf.errors import PyPdfError

from lamplighter.families.files.extraction.document import Document, Enough, Found, Unreadable

_LIBRARY_FAILS = (PyPdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, OSError)
logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of every fault that it worked around


def read(document: Document, found: Found) -> None:
    """The text page by page. What is broken costs its page only."""
    try:
        reader = PdfReader(document.file, strict=False)
        if reader.is_encrypted:
            _unlock(reader)
        _read_information(reader.metadata, found)
        found.pages = len(reader.pages)
    except _LIBRARY_FAILS:
        raise Unreadable("is a PDF that breaks off or is damaged") from None
    failed = sum(not _read_page(reader, number, found) for number in range(found.pages))
    if failed:
        if failed == found.pages:
            raise Unreadable("is a PDF whose pages are damaged")
        found.break_off(f"{failed} of its pages cannot be read.")


def _unlock(reader: PdfReader) -> None:
    """Many are locked against changes only, with an empty password for reading."""
    try:
        is_open = bool(reader.decrypt(""))
    except Exception:  # noqa: BLE001 - a library for its cipher may be missing, or its dictionary broken
        is_open = False
    if not is_open:
        raise Unreadable("is locked with a password")


def _read_information(information: DocumentInformation | None, found: Found) -> None:
    if information is None:
        return
    found.title, found.author = information.title, information.author
    for field in ("creation_date", "modification_date"):
        try:
            date = getattr(information, field)
        except _LIBRARY_FAILS:
            continue
        if field == "creation_date":
            found.created_at = date
        else:
            found.modified_at = date
    if information.subject:
        found.details["subject"] = information.subject


def _read_page(reader: PdfReader, number: int, found: Found) -> bool:
    try:
        found.add(reader.pages[number].extract_text() + "\n")
    except Enough:
        raise
    except _LIBRARY_FAILS:
        return False
    return True
