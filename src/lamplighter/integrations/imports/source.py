"""A file in pieces, one for each record: a line, or an element of a JSON array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec

from lamplighter.core.errors import ConfigError
from lamplighter.integrations.imports.fault import BadRecord

Format = Literal["json", "csv", "mwap"]

LONGEST_RECORD = 256 * 1024  # bytes
LARGEST_ARRAY = 64 * 1024 * 1024  # bytes of a file that has to be read whole
HEAD = 64 * 1024  # bytes that say what a file is
BOM = b"\xef\xbb\xbf"  # that is how Windows begins a text
MWAP_MARK = b'"providerId"'
JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}


class Piece(NamedTuple):
    """A record as it is in the file."""

    where: str  # `line 7`, or `record 7` of an array
    data: bytes
    size: int  # how much of the file it took

    def text(self) -> str:
        """What it says. Raises BadRecord."""
        if self.size > LONGEST_RECORD:
            raise BadRecord(f"it is longer than {LONGEST_RECORD // 1024} KiB: take out what is no integration's.")
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise BadRecord("it is not UTF-8: write the file in UTF-8.") from None


def find_format(path: Path) -> Format:
    """What a file looks like. Raises ConfigError."""
    head = _head(path)
    if head.startswith((b"{", b"[")):
        return "mwap" if MWAP_MARK in head else "json"
    return "json" if not head or path.suffix.lower() in JSON_SUFFIXES else "csv"


def pieces(path: Path) -> Iterator[Piece]:
    """The records of a file, blank lines left out. An array is read whole, lines one by one. Raises ConfigError."""
    head = _head(path)
    if head.partition(b"\n")[0].strip() == b"{":
        raise ConfigError(f"{path} spreads a document over several lines: give one document a line, or an array.")
    try:
        with path.open("rb") as file:
            yield from _elements(file, path) if head.startswith(b"[") else _lines(file)
    except OSError as error:
        raise _unreadable(path, error) from error


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise _unreadable(path, error) from error
    if b"\0" in head:
        raise ConfigError(f"{path} is no text in UTF-8: write it as such.")
    return head.removeprefix(BOM).lstrip()


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot read {path} ({error.strerror}): name a file that you may read.")


def _lines(file: BinaryIO) -> Iterator[Piece]:
    number = 0
    while line := file.readline(LONGEST_RECORD + 1):
        number += 1
        size, end = len(line), line
        while size > LONGEST_RECORD and not end.endswith(b"\n") and (end := file.readline(LONGEST_RECORD)):
            size += len(end)  # the rest of what is too long is passed over, never held
        if number == 1:
            line = line.removeprefix(BOM)
        if line.strip():
            yield Piece(f"line {number}", line, size)


def _elements(file: BinaryIO, path: Path) -> Iterator[Piece]:
    data = file.read(LARGEST_ARRAY + 1)
    if len(data) > LARGEST_ARRAY:
        raise ConfigError(
            f"{path} is an array of more than {LARGEST_ARRAY // 1024**2} MiB, which is too much to be read at once: "
            "give one document a line."
        )
    try:
        found = msgspec.json.decode(data.removeprefix(BOM), type=list[msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON array ({error}): write it anew, or give one document a line.") from None
    for number, raw in enumerate(found, start=1):
        element = bytes(raw)
        yield Piece(f"record {number}", element, len(element))
