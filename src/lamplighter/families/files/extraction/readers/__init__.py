"""What reads which type of file: a module each, imported in the child when the first such file comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from lamplighter.families.files.extraction.document import Document, Found

Reader = Callable[[Document, Found], None]
Readers = Mapping[str, str]  # "module:function" by type, or by the beginning of types with a * at its end

_HERE = "lamplighter.families.files.extraction.readers"
_OFFICE = "application/vnd.openxmlformats-officedocument."

LIGHT: Readers = {
    "text/html": f"{_HERE}.html:read",
    "text/markdown": f"{_HERE}.text:read_markdown",
    "text/xml": f"{_HERE}.xml:read",
    "application/xml": f"{_HERE}.xml:read",
    "image/svg+xml": f"{_HERE}.xml:read",
    "text/*": f"{_HERE}.text:read",
    "application/json": f"{_HERE}.text:read",
    "application/x-ndjson": f"{_HERE}.text:read",
    "application/toml": f"{_HERE}.text:read",
    "application/pdf": f"{_HERE}.pdf:read",
    f"{_OFFICE}wordprocessingml.document": f"{_HERE}.word:read",
    f"{_OFFICE}presentationml.presentation": f"{_HERE}.slides:read",
    f"{_OFFICE}spreadsheetml.sheet": f"{_HERE}.sheets:read",
    "application/vnd.oasis.opendocument.*": f"{_HERE}.odf:read",
    "application/x-locked-office": f"{_HERE}.locked:read",
    "message/rfc822": f"{_HERE}.mail:read",
    "image/*": f"{_HERE}.image:read",
}
_BY_KREUZBERG = (
    "application/rtf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.ms-outlook",
    "application/epub+zip",
)


def is_full() -> bool:
    """Whether kreuzberg is installed."""
    return find_spec("kreuzberg") is not None


def readers() -> Readers:
    """Those there are."""
    return {**LIGHT, **dict.fromkeys(_BY_KREUZBERG, f"{_HERE}.full:read")} if is_full() else LIGHT


def reader_for(mime_type: str, table: Readers) -> str | None:
    """Where its reader is; None: type and size are all that is told of it."""
    if mime_type in table:
        return table[mime_type]
    fitting = [key for key in table if key.endswith("*") and mime_type.startswith(key[:-1])]
    return table[max(fitting, key=len)] if fitting else None
