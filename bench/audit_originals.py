"""The records of `bench.audit` as they were written, in a file of their own: what is found later is held against it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from lamplighter.integrations.auditing.chain import Content, canonical

SOME = 10_000  # rows in one transaction


class Compared(NamedTuple):
    """How many were found where, and what is wrong: lost, doubled, or not what was written."""

    live: int
    archived: int
    lost: int
    doubled: int
    differ: int

    @property
    def is_whole(self) -> bool:
        """Whether what was found is what was written, each once."""
        return not (self.lost or self.doubled or self.differ)


class Originals:
    """Two tables on the disk, so that a million rows are compared in the memory of a few."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(
            """
            PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;
            CREATE TABLE IF NOT EXISTS original (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS found (id TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
            """
        )

    def write(self, records: Iterable[Content]) -> None:
        """These were written."""
        with self._connection:
            rows = ((one["id"], canonical(one)) for one in records)
            self._connection.executemany("INSERT INTO original VALUES (?, ?)", rows)

    def find(self, records: Iterable[Content]) -> tuple[int, int]:
        """These were found; returns how many, and how many of them had been found before."""
        rows = [(one["id"], canonical(one)) for one in records]
        with self._connection:
            new = self._connection.executemany("INSERT OR IGNORE INTO found VALUES (?, ?)", rows).rowcount
        return len(rows), len(rows) - new

    def wrong(self) -> tuple[int, int]:
        """How many were not found, and how many are not what was written, or never were."""
        lost = "SELECT count(*) FROM original LEFT JOIN found USING (id) WHERE found.id IS NULL"
        differ = "SELECT count(*) FROM found LEFT JOIN original USING (id) WHERE original.content IS NOT found.content"
        return self._connection.execute(lost).fetchone()[0], self._connection.execute(differ).fetchone()[0]


@contextmanager
def originals(folder: Path) -> Iterator[Originals]:
    """In a file of that folder."""
    with closing(sqlite3.connect(folder / "originals.db")) as connection:
        yield Originals(connection)
