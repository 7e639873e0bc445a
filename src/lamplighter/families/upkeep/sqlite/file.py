"""A SQLite file as upkeep uses it: connections of its own, short transactions, and whoever writes goes first."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from lamplighter.families.upkeep.finding import GaveWay
from lamplighter.families.upkeep.turn import Turn
from lamplighter.store.sqlite.connection import explain, is_busy, when_free

T = TypeVar("T")

INCREMENTAL = 2  # of PRAGMA auto_vacuum
OPS = 10_000  # of SQLite's machine between two looks at the time


class Figures(NamedTuple):
    """What a file takes, in bytes; `log`: of its -wal."""

    size: int
    free: int
    page: int
    log: int
    auto_vacuum: int


def figures(path: Path) -> Figures:
    """Of a file that is there. Raises StoreError."""
    with reading(path) as connection:
        page, free, auto = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "freelist_count", "auto_vacuum")
        )
    log = Path(f"{path}-wal")
    return Figures(path.stat().st_size, free * page, page, log.stat().st_size if log.exists() else 0, auto)


@contextmanager
def reading(path: Path, turn: Turn | None = None) -> Iterator[sqlite3.Connection]:
    """A connection that can write nothing. What runs on it ends with the turn, with GaveWay.

    Raises:
        StoreError: the file cannot be read.
    """
    with _connected(path, "ro", turn) as connection:
        yield connection


@contextmanager
def writing(path: Path, turn: Turn) -> Iterator[sqlite3.Connection]:
    """A connection that says BEGIN IMMEDIATE and COMMIT by itself, and waits for nobody unless told to."""
    with _connected(path, "rw", turn) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        yield connection


def in_turn(connection: sqlite3.Connection, patience: float, work: Callable[[], T]) -> T:
    """One short transaction, begun when no other process writes.

    Raises:
        GaveWay: that was not so for `patience` seconds.
    """
    try:
        when_free(lambda: connection.execute("BEGIN IMMEDIATE"), patience)
    except sqlite3.OperationalError as error:
        if is_busy(error):
            raise GaveWay("others wrote to the file all the time: it is tried again.") from error
        raise
    try:
        value = work()
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return value


def rest(seconds: float) -> None:
    """Let others have the file for as long as we had it."""
    time.sleep(seconds)


@contextmanager
def _connected(path: Path, mode: str, turn: Turn | None) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(path))}?mode={mode}"
    try:
        with closing(
            sqlite3.connect(address, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        ) as made:
            made.execute("PRAGMA busy_timeout = 0")
            if turn is not None:
                made.set_progress_handler(lambda: int(turn.is_over), OPS)
            yield made
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise GaveWay("there was not time enough: it is tried again.") from error
        raise explain(error, path) from error
    except sqlite3.Error as error:
        raise explain(error, path) from error
