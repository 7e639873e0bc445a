"""Texts and dates that can be stored and shown, whatever a file holds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Control characters (PostgreSQL refuses NUL), what is no character, and what turns the direction of a page's text.
_CONTROLS = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[\n ]*")
_EARLIEST, _LATEST = 1900, 2100


def clean_text(text: str) -> str:
    """Without what cannot be stored, and with single spaces and line ends."""
    text = _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text.replace("\u00ad", "")))
    return _LINES.sub("\n", _BLANKS.sub(" ", text.replace("\r", "\n")))


def clean_line(text: str | None, longest: int) -> str | None:
    """One line, cut; None if nothing is left."""
    if text is None:
        return None
    line = " ".join(clean_text(text[: longest * 10]).split())
    return line[:longest].rstrip() or None


def is_clean(text: str) -> bool:
    """Whether it can be stored as it is."""
    return not (_CONTROLS.search(text) or _SURROGATES.search(text))


def clean_date(value: datetime | str | None) -> datetime | None:
    """In UTC, which is meant where none is named; None for what is no date, or an absurd one."""
    try:
        date = _read_date(value.strip()[:100]) if isinstance(value, str) else value
        if date is None:
            return None
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return date if _EARLIEST <= date.year <= _LATEST else None


def _read_date(text: str) -> datetime | None:
    if re.match(r"\d{4}:\d\d:\d\d ", text):  # as EXIF writes it
        return datetime.fromisoformat(text[:19].replace(":", "-", 2))
    if re.match(r"\d{4}(-?\d\d){0,2}", text):
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    return parsedate_to_datetime(text)
