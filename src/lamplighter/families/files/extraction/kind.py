"""What a file is, by its content. Its name and the type that its source claims count only where that says nothing."""

from __future__ import annotations

import mimetypes
import re
from typing import BinaryIO

import puremagic

from lamplighter.families.files.extraction.charset import charset_of
from lamplighter.families.files.extraction.document import Unreadable
from lamplighter.families.files.extraction.zip_parts import ZipParts

UNKNOWN = "application/octet-stream"
ZIP = "application/zip"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_DIRECTORIES = {
    "word/": f"{_OFFICE}wordprocessingml.document",
    "ppt/": f"{_OFFICE}presentationml.presentation",
    "xl/": f"{_OFFICE}spreadsheetml.sheet",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = {
    "EncryptedPackage": "application/x-locked-office",
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
    "__nameid_version1.0": "application/vnd.ms-outlook",
}
_SURE = 0.3  # what puremagic gives for three bytes that fit
_SAMPLE = 64 * 1024
_STRANGE = re.compile("[\0-\x08\x0b\x0e-\x1a\x1c-\x1f\ufffd]")  # but the escapes of terminals
_TEXTS = ("text/", "message/", "application/json", "application/xml", "application/x-ndjson", "application/toml")
_NAMED = {  # which not every Python's table has
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".csv": "text/csv",
    ".docx": f"{_OFFICE}wordprocessingml.document",
    ".pptx": f"{_OFFICE}presentationml.presentation",
    ".xlsx": f"{_OFFICE}spreadsheetml.sheet",
    ".odt": f"{_OPEN_DOCUMENT}text",
    ".ods": f"{_OPEN_DOCUMENT}spreadsheet",
    ".odp": f"{_OPEN_DOCUMENT}presentation",
}
_BY_SUFFIX = mimetypes.MimeTypes()  # Python's own table: the machine's would tell other types on each
_HTML = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(r"\s*<(?:\?xml|!DOCTYPE)\s")
_SVG = re.compile(r"<(?:\w{1,20}:)?svg\b")
_MAIL = re.compile(r"(?:(?:From|To|Cc|Subject|Date|Message-ID|Received|Return-Path|MIME-Version|Delivered-To)[: ])")
_HEADER = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,60}:\s", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} \S[^\n]*\r?\n\s*\n", re.MULTILINE)  # what a blank line follows is no comment


def kind_of(file: BinaryIO, name: str, claimed: str | None) -> str:
    """Its type. The file is at its beginning afterwards."""
    sample = file.read(_SAMPLE)
    named = _type_by_name(name, claimed)
    try:
        if b"%PDF-" in sample[:1024]:
            return "application/pdf"
        if sample.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _kind_of_zip(file, named)
        if sample.startswith(_OLE):
            return _kind_of_ole(file)
        text = _as_text(sample)
        return _kind_of_bytes(sample, named) if text is None else _kind_of_text(text, named)
    finally:
        file.seek(0)


def _type_by_name(name: str, claimed: str | None) -> str | None:
    suffix = "." + name.rpartition(".")[2].lower()
    known = _NAMED.get(suffix) or _BY_SUFFIX.guess_type("x" + suffix, strict=False)[0]
    if known or not claimed:
        return known
    claim = claimed.partition(";")[0].strip().lower()
    return claim if re.fullmatch(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,100}", claim) else None


def _kind_of_zip(file: BinaryIO, named: str | None) -> str:
    """One that breaks off cannot say more, and the name says what it was to be; its reader tells that it is damaged."""
    try:
        parts = ZipParts(file, _SAMPLE)
        if "mimetype" in parts.names:  # ODF and EPUB name themselves there
            told = parts.read_all("mimetype", 100).decode("ascii", "replace").strip()
            if told.startswith(_OPEN_DOCUMENT) or told == "application/epub+zip":
                return told
    except Unreadable:
        return named if named is not None and named.startswith((_OFFICE, _OPEN_DOCUMENT)) else ZIP
    if "[Content_Types].xml" in parts.names:
        for folder, kind in _DIRECTORIES.items():
            if any(name.startswith(folder) for name in parts.names):
                return kind
    return ZIP


def _kind_of_ole(file: BinaryIO) -> str:
    file.seek(0)
    content = file.read(16 * _SAMPLE)  # its directory may be anywhere, and mostly is near one of its ends
    file.seek(0, 2)
    file.seek(max(0, file.tell() - 4 * _SAMPLE))
    content += file.read(4 * _SAMPLE)
    for stream, kind in _OLE_STREAMS.items():
        if stream.encode("utf-16-le") in content:
            return kind
    return "application/x-ole-storage"


def _as_text(sample: bytes) -> str | None:
    """None: it is none. What is packed or encrypted holds control characters, which no text does in any charset."""
    charset = charset_of(sample) if sample else "utf-8"
    text = sample.decode(charset, "replace")
    strange = len(_STRANGE.findall(text[:4096]))
    if not sample or strange > len(text[:4096]) // 200:
        return None
    return text if charset.startswith("utf") or re.search(rb"[ \n]", sample) else None


def _kind_of_text(text: str, named: str | None) -> str:
    start = text.lstrip("\ufeff")[:8192]
    if start.startswith("{\\rtf"):
        return "application/rtf"
    if _HTML.match(start):
        return "text/html"
    if _XML.match(start) or _SVG.match(start):
        return "image/svg+xml" if _SVG.search(start) else _if_xhtml(start)
    if _MAIL.match(start) and len(_HEADER.findall(start)) >= 2:
        return "message/rfc822"
    if named is not None and named.startswith(_TEXTS) and named not in {"text/html", "message/rfc822"}:
        return named
    return "text/markdown" if len(_HEADING.findall(start)) >= 2 else "text/plain"


def _if_xhtml(start: str) -> str:
    return "text/html" if re.search(r"<html\b", start[:2048]) else "application/xml"


def _kind_of_bytes(sample: bytes, named: str | None) -> str:
    """By a signature. A name that promises what has a signature, and is not there, is not believed."""
    try:
        matches = puremagic.magic_string(sample) if sample else []
    except (puremagic.PureError, ValueError):
        matches = []
    types = [match.mime_type for match in matches if match.mime_type]
    if named in types:
        return str(named)
    sure = [match.mime_type for match in matches if match.mime_type and match.confidence >= _SURE]
    if sure:
        return str(sure[0])
    return UNKNOWN if sample or named is None or not named.startswith("text/") else named
