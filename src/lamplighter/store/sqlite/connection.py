"""Connections to a SQLite file, and its errors as sentences that say what to do."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lamplighter.core.errors import StoreDamaged, StoreError, StoreUnavailable

T = TypeVar("T")
IN_HASTE = 1.0  # seconds of trying often for a file that is held, before it is taken to be held for long
Connection = sqlite3.Connection | sqlite3.Cursor  # whatever has `execute`


def connect(path: Path, *, synchronous: str = "FULL", patience: float = 10) -> sqlite3.Connection:
    """A connection in WAL mode without implicit transactions: its user says BEGIN IMMEDIATE and COMMIT.

    Args:
        path: the file; its folder must exist.
        synchronous: what a commit waits for (SQLite's PRAGMA of that name).
        patience: seconds to wait for another process that holds the file.

    Raises:
        StoreUnavailable: the file cannot be opened.
        StoreDamaged: it is not a SQLite database.
    """
    if not path.parent.is_dir():
        raise StoreUnavailable(f"The folder {path.parent} does not exist: create it, or correct the store URL.")
    try:
        connection = sqlite3.connect(
            path, timeout=patience, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes only in a new file, and cannot be had later
            # SQLite does not wait its own timeout for this lock, so of processes that start together some would fail
            mode = when_free(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0], patience)
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -16000")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from error
    if mode != "wal":
        connection.close()
        raise StoreUnavailable(f"the database file {path} cannot be shared where it lies: put it on a local disk.")
    return connection


def when_free(step: Callable[[], T], patience: float) -> T:
    """What `step` returns once no other process holds the file.

    SQLite's own waits grow to 100 ms, while a process that writes all the time leaves the file free for some 50 us
    between two transactions: the others starve. So who waits here tries often, at random moments.
    """
    began = time.monotonic()
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if not is_busy(error) or waited > patience:
                raise
            longest = 0.0002 if waited < IN_HASTE else 0.002
            time.sleep(random.uniform(longest / 10, longest))  # noqa: S311


def was_closed(path: Path) -> StoreUnavailable:
    """What whoever asks after the end is told."""
    return StoreUnavailable(f"the database file {path} was closed: open the store again.")


def is_busy(error: Exception) -> bool:
    """Whether another process merely holds the file."""
    return _code(error) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


_LOCKED = "is locked by another process: find it with `lsof` and end it, or wait"
_HINTS: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailable, _LOCKED),
    sqlite3.SQLITE_LOCKED: (StoreUnavailable, _LOCKED),
    sqlite3.SQLITE_PROTOCOL: (StoreUnavailable, _LOCKED),
    sqlite3.SQLITE_BUSY_SNAPSHOT: (
        StoreUnavailable,
        "was changed since this transaction first read it: roll back and try again, or start with BEGIN IMMEDIATE",
    ),
    sqlite3.SQLITE_FULL: (StoreUnavailable, "cannot grow, the disk is full: free some space; nothing stored was lost"),
    sqlite3.SQLITE_READONLY: (StoreUnavailable, "is read-only: give this user write access to the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnavailable, "cannot be opened: give this user access to the file and its folder"),
    sqlite3.SQLITE_PERM: (StoreUnavailable, "may not be read by this user: change its owner or its permissions"),
    sqlite3.SQLITE_IOERR: (StoreUnavailable, "cannot be read or written: check the disk (`dmesg`) and its free space"),
    sqlite3.SQLITE_NOMEM: (StoreUnavailable, "needs more memory than there is: ask for less at once, or add memory"),
    sqlite3.SQLITE_NOTADB: (StoreDamaged, "is not a SQLite database: point the store URL at another file"),
    sqlite3.SQLITE_CORRUPT: (StoreDamaged, "is corrupt: stop all workers and restore it from a backup"),
}


def explain(error: Exception, path: Path) -> Exception:
    """The same error as one sentence that says what to do; errors that are not SQLite's stay as they are."""
    code = _code(error)
    found = _HINTS.get(code) or _HINTS.get(code & 0xFF)
    if "no such table: lamp_" in str(error):
        found = StoreDamaged, "has no tables of Lamplighter: run `lamplighter migrate` first"
    if found is None:
        return error
    kind, hint = found
    explained = kind(f"the database file {path} {hint}.")
    explained.__cause__ = error
    return explained


def _code(error: Exception) -> int:
    """SQLite's result code, whose lowest byte is the kind; 0 when the error is not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", None) or 0)
