"""A file's bytes as text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from charset_normalizer import from_bytes

from lamplighter.families.files.extraction.document import Document, Found

_SAMPLE = 64 * 1024
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)


def text_pieces(document: Document, found: Found) -> Iterator[str]:
    """The text piece by piece, up to the limit of bytes."""
    sample = document.file.read(_SAMPLE)
    decoder = codecs.getincrementaldecoder(charset_of(sample))("replace")
    yield decoder.decode(sample)
    left = document.limits.file_bytes - len(sample)
    while left > 0 and (piece := document.file.read(min(_SAMPLE, left))):
        left -= len(piece)
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
    found.is_cut = found.is_cut or left <= 0


def charset_of(sample: bytes) -> str:
    """By its mark, as UTF-8 if it can be, as what it declares, or else by what is most likely."""
    for mark, name in _MARKS.items():
        if sample.startswith(mark):
            return name
    return _utf8_or_16(sample) or _declared(sample) or _likely(sample)


def _utf8_or_16(sample: bytes) -> str | None:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # which may end within a character
    except UnicodeDecodeError:
        pass
    else:
        if b"\0" not in sample:
            return "utf-8"
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > len(sample) // 4 and even < odd // 10:
        return "utf-16-le"
    return "utf-16-be" if even > len(sample) // 4 and odd < even // 10 else None


def _declared(sample: bytes) -> str | None:
    match = _DECLARED.search(sample[:2048])
    try:
        found = codecs.lookup(match[1].decode()) if match else None
    except LookupError:
        return None
    return found.name if found and found._is_text_encoding and not found.name.startswith("utf") else None


def _likely(sample: bytes) -> str:
    best = from_bytes(sample[: 16 * 1024]).best()
    return best.encoding if best else "cp1252"
