"""A connection for reads of microseconds, done on the spot instead of in a thread."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from lamplighter.store.sqlite.connection import connect, explain, is_busy, was_closed
from lamplighter.store.sqlite.thread import refuse_fork

T = TypeVar("T")


class Peek:
    """Looks at a file without waiting: readers of a WAL file wait for nobody."""

    def __init__(self, path: Path, *, patience: float) -> None:
        self._path = path
        self._process = os.getpid()
        self._lock = threading.Lock()  # two threads must not step through one prepared statement
        self._connection: sqlite3.Connection | None = connect(path, patience=patience)
        self._connection.execute("PRAGMA busy_timeout = 0")

    def look(self, at: Callable[[sqlite3.Connection], T]) -> T | Literal[True]:
        """What `at(connection)` returns; True when the file is held so that one must look properly.

        Raises:
            StoreUnavailable: the file is failing, or was closed here.
            StoreDamaged: the file is corrupt.
        """
        refuse_fork(self._process, self._path)
        with self._lock:
            if self._connection is None:
                raise was_closed(self._path)
            try:
                return at(self._connection)
            except sqlite3.Error as error:
                if is_busy(error):
                    return True
                raise explain(error, self._path) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None and os.getpid() == self._process:
                self._connection.close()
                self._connection = None


def version(connection: sqlite3.Connection) -> int:
    """A number that changes whenever another connection, of any process, has changed the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
