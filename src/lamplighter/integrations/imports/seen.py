"""What a run has seen already, on disk: very large files must not make a large process."""

from __future__ import annotations

import hashlib
import sqlite3
from types import TracebackType
from typing import Self


class Seen:
    """Keys, and where each was seen first. In a file that has no name, and goes when this does; keys are digests."""

    def __enter__(self) -> Self:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID")
        self._file.execute("BEGIN")  # never committed, so nothing is ever flushed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def note(self, where: str, *key: str) -> None:
        """That has been seen there; the first place stays."""
        self._file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (_digest(key), where))

    def first(self, *key: str) -> str | None:
        """Where it was seen first."""
        row = self._file.execute("SELECT place FROM seen WHERE key = ?", (_digest(key),)).fetchone()
        return None if row is None else str(row[0])


def _digest(key: tuple[str, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in key:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.digest()
