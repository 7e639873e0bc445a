"""What is done to a SQLite file, each in short steps; all of it runs in a thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from lamplighter.families.upkeep.finding import GaveWay, UpkeepError
from lamplighter.families.upkeep.sqlite.file import in_turn, reading, rest, writing
from lamplighter.families.upkeep.turn import Turn

SHARE = 20  # a transaction is to take so small a part of the lock timeout
SAMPLES = 1000  # rows of an index that are looked at
GROWN = 2.0  # times as many rows as when a table was looked at, or as few
MOST_TOLD = 5  # damages


def unlooked(connection: sqlite3.Connection, tables: frozenset[str]) -> list[str]:
    """Which of these tables have no statistics, or have grown or shrunk much since."""
    known = {
        str(name): max((int(stat.split()[0]) for stat in stats.split(";")), default=0)
        for name, stats in _statistics(connection)
    }
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return sorted(name for name in tables & there if _has_changed(connection, name, known.get(name)))


def analyze(path: Path, tables: list[str], patience: float, turn: Turn) -> Iterator[str]:
    """Look at samples of these tables, one after the other."""
    with writing(path, turn) as connection:
        connection.execute(f"PRAGMA analysis_limit = {SAMPLES}")
        for name in tables:
            began = time.monotonic()
            in_turn(connection, patience, lambda name=name: connection.execute(f'ANALYZE "{name}"').fetchall())  # type: ignore[misc] # bound now, run now
            yield f"looked at {name}"
            rest(time.monotonic() - began)
        connection.execute("PRAGMA optimize")


def shrink(path: Path, patience: float, turn: Turn) -> Iterator[str]:
    """Give free pages back, a few in each transaction."""
    with writing(path, turn) as connection:
        total = left = _free(connection)
        while left:
            if turn.is_over:
                raise GaveWay(f"the time was over with {left:,} pages left: it goes on the next time.")
            began = time.monotonic()
            in_turn(connection, patience, lambda: _give_back(connection, patience / SHARE))
            left, before = _free(connection), left
            if left >= before:
                return
            yield f"gave back {total - left:,} of {total:,} pages"
            rest(time.monotonic() - began)


def checkpoint(path: Path, turn: Turn) -> Iterator[str]:
    """Bring the log into the file while others go on, then empty it if nobody is at it just then."""
    with writing(path, turn) as connection:
        yield "bringing the log into the file"
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        for _ in range(SHARE):
            [busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy or turn.is_over:
                break
            rest(0.05)  # waiting in line for the file would make those behind us wait
        if busy:
            raise GaveWay("others were at the file all the time, so its log stays as long as it is: it is tried again.")


def check(path: Path, turn: Turn) -> Iterator[str]:
    """Read all of it. Raises UpkeepError if something is damaged."""
    with reading(path, turn) as connection:
        yield "reading the file"
        told = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(100)")]
        if told != ["ok"]:
            some = "; ".join(told[:MOST_TOLD])
            raise UpkeepError(f"{path} is damaged ({some}): stop the workers, and restore the last backup.")
        yield "looking for rows that refer to nothing"
        lost = connection.execute("PRAGMA foreign_key_check").fetchmany(MOST_TOLD)
        if lost:
            names = ", ".join(sorted({str(row[0]) for row in lost}))
            raise UpkeepError(f"{path} has rows that refer to what is not there, in {names}: restore the last backup.")


def _statistics(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchone() is None:
        return []
    return connection.execute(
        "SELECT tbl, group_concat(stat, ';') FROM sqlite_stat1 WHERE stat IS NOT NULL GROUP BY tbl"
    ).fetchall()


def _has_changed(connection: sqlite3.Connection, name: str, known: int | None) -> bool:
    """By the number that the last row got, which costs nothing to look up."""
    rows = int(connection.execute(f'SELECT coalesce(max(rowid), 0) FROM "{name}"').fetchone()[0])  # noqa: S608 - ours
    if not known:
        return rows > SAMPLES
    return not 1 / GROWN <= rows / known <= GROWN and max(rows, known) > SAMPLES


def _free(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def _give_back(connection: sqlite3.Connection, seconds: float) -> None:
    end = time.monotonic() + seconds
    while _free(connection) and time.monotonic() < end:
        connection.execute("PRAGMA incremental_vacuum")  # sqlite3 takes but its first step, which gives one page back
