"""What an archive's object holds: JSON, a line for each record, in zstd.

The first line says which chain and day it is of, and where the chain ended then: kept elsewhere, that is an anchor
against whoever writes a whole chain of the database anew. The digest is of the lines after it: a database that was
restored from a backup archives the same records again, and finds its own object. Of a record that was destroyed, place
and hash are left.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import zstandard
from msgspec import Struct

from lamplighter.families.audit.storage import ArchiveAltered
from lamplighter.integrations.auditing.chain import Content, Sealed, canonical

MOST_RECORDS = 50_000  # of one object: whoever reads or writes it has it in memory, packed
MOST_BYTES = 64 * 1024**2  # of its content
LONGEST_LINE = 256 * 1024**2
LEVEL = 6


class Header(Struct, frozen=True, kw_only=True):
    """Its first line. `head_seq` and `head_hash`: the last record of the chain when it was first written."""

    archive: int = 1
    chain: str
    day: str
    generation: int
    head_seq: int
    head_hash: str


class Packed(Struct, frozen=True, kw_only=True):
    """An object, and what is known of it. `actions`: of each, how many are left, and when the last one was."""

    content: bytes
    digest: str
    count: int
    destroyed: int
    first_seq: int
    last_seq: int
    first_at: int
    last_at: int
    actions: dict[str, tuple[int, int]]


class Packer:
    """Takes records in the order of their places."""

    def __init__(self, header: Header) -> None:
        self._packing = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()
        self._digest = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._length = 0
        self._places: list[int] = []
        self._destroyed = 0
        self._moments: list[int] = []  # the first and the last
        self._counts: Counter[str] = Counter()
        self._latest: dict[str, int] = {}
        self._pack(_line_of(msgspec.to_builtins(header)))

    @property
    def is_full(self) -> bool:
        """Whether no more should come."""
        return len(self._places) >= MOST_RECORDS or self._length >= MOST_BYTES

    def add(self, records: Iterable[Sealed]) -> None:
        """These come next."""
        for seq, hash_, content in records:
            self._places.append(seq)
            if content is None:
                self._destroyed += 1
                self._write({"seq": seq, "hash": hash_})
                continue
            self._write({**content, "seq": seq, "hash": hash_})
            action, at = content["action"], content["at"]
            self._counts[action] += 1
            self._latest[action] = max(at, self._latest.get(action, at))
            self._moments = [min(at, *self._moments), max(at, *self._moments)] if self._moments else [at, at]

    def finish(self) -> Packed:
        """The whole of it; there is at least one record that is left."""
        self._pieces.append(self._packing.flush())
        return Packed(
            content=b"".join(self._pieces),
            digest=self._digest.hexdigest(),
            count=len(self._places),
            destroyed=self._destroyed,
            first_seq=self._places[0],
            last_seq=self._places[-1],
            first_at=self._moments[0],
            last_at=self._moments[1],
            actions={action: (n, self._latest[action]) for action, n in sorted(self._counts.items())},
        )

    def _write(self, values: Content) -> None:
        line = _line_of(values)
        self._digest.update(line)
        self._pack(line)

    def _pack(self, content: bytes) -> None:
        self._length += len(content)
        if packed := self._packing.compress(content):
            self._pieces.append(packed)


def _line_of(values: Content) -> bytes:
    return canonical(values).encode() + b"\n"


class Unpacker:
    """Reads an object, a few records at a time. Raises ArchiveAltered for what is none."""

    def __init__(self, key: str, content: bytes) -> None:
        self._key = key
        self._digest = hashlib.sha256()
        reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=False)
        self._lines = io.BufferedReader(reader, 1024 * 1024)
        self.header = self._header()

    def some(self, most: int) -> list[Sealed]:
        """The next records; none: that was all."""
        found: list[Sealed] = []
        while len(found) < most and (line := self._line()):
            self._digest.update(line)
            found.append(self._record(line))
        return found

    @property
    def digest(self) -> str:
        """Of all records that were read."""
        return self._digest.hexdigest()

    def _line(self) -> bytes:
        try:
            line = self._lines.readline(LONGEST_LINE)
        except zstandard.ZstdError:
            raise self._altered() from None
        return line

    def _header(self) -> Header:
        try:
            return msgspec.json.decode(self._line(), type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._altered() from None

    def _record(self, line: bytes) -> Sealed:
        try:
            content = json.loads(line)
            return Sealed(content.pop("seq"), content.pop("hash"), content or None)
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise self._altered() from None

    def _altered(self) -> ArchiveAltered:
        return ArchiveAltered(f"the archive {self._key} is not what was written: bring it back from a backup.")


def without(records: Sequence[Sealed], actions: frozenset[str]) -> list[Sealed]:
    """The same, but only places and hashes of those of these actions."""
    return [
        Sealed(one.seq, one.hash, None) if one.content is not None and one.content["action"] in actions else one
        for one in records
    ]
