"""The tables in a file: made where there are none, brought forward when told to."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from lamplighter.store.migrate import Choose, Step, all_if_new, read_steps, refuse_unfit
from lamplighter.store.sqlite.connection import connect, explain, when_free
from lamplighter.store.sqlite.url import parse

T = TypeVar("T")

SCRIPTS = read_steps(__package__)
STEPS = tuple(SCRIPTS)

# The first version kept but one number, in lamp_schema, and refuses a file whose number is not its own. So that its
# workers may start beside newer ones, the number stays until a post step was taken.
NOTED_IN = "SELECT name FROM sqlite_schema WHERE name IN ('lamp_steps', 'lamp_schema')"
NOTES = """
CREATE TABLE IF NOT EXISTS lamp_steps (
    number INTEGER PRIMARY KEY, phase TEXT NOT NULL, title TEXT NOT NULL, taken_at INTEGER
);
CREATE TABLE IF NOT EXISTS lamp_schema (version INTEGER NOT NULL);
"""
NUMBER = """
DELETE FROM lamp_schema;
INSERT INTO lamp_schema SELECT coalesce(max(number) FILTER (WHERE phase = 'post'), 1) FROM lamp_steps;
"""


class SqliteSchema:
    """The schema of one file (see `migrate.Schema`)."""

    steps = STEPS

    def __init__(self, path: Path, *, patience: float = 10) -> None:
        self.path = path.absolute()
        self._patience = patience

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The schema of the store of that URL."""
        place = parse(url)
        return cls(place.path, patience=place.patience)

    @property
    def what(self) -> str:
        return f"the database file {self.path}"

    async def taken(self) -> list[Step]:
        return await asyncio.to_thread(look, self.path, self._patience, taken) or []

    async def take(self, choose: Choose) -> list[Step]:
        return await asyncio.to_thread(self._take, choose)

    async def doubts(self) -> list[str]:
        return []  # there is no server

    def prepare(self) -> None:
        """Make the tables in a new file; refuse a file that does not fit.

        Raises:
            StoreDamaged: the file is older (migrate it) or newer (upgrade this package).
        """
        with _connected(self.path, self._patience) as connection:
            found = taken(connection)
            if not found:
                take(connection, partial(all_if_new, STEPS), self._patience)
                found = taken(connection)
            refuse_unfit(self.what, STEPS, found)

    def _take(self, choose: Choose) -> list[Step]:
        with _connected(self.path, self._patience) as connection:
            return take(connection, choose, self._patience)


def taken(connection: sqlite3.Connection) -> list[Step]:
    """The steps that were taken in a file, in order."""
    tables = {name for (name,) in connection.execute(NOTED_IN)}
    if "lamp_steps" in tables:
        return [Step(*row) for row in connection.execute("SELECT number, phase, title FROM lamp_steps ORDER BY number")]
    version = connection.execute("SELECT version FROM lamp_schema").fetchone()[0] if "lamp_schema" in tables else 0
    return [step for step in STEPS if step.number <= version]


def take(connection: sqlite3.Connection, choose: Choose, patience: float) -> list[Step]:
    """Take the steps that `choose` picks, in one transaction (see `migrate.Schema.take`)."""
    when_free(lambda: connection.execute("BEGIN IMMEDIATE"), patience)
    try:
        before = taken(connection)
        steps = choose(before)
        for step in steps:
            _run(connection, SCRIPTS[step])
        if steps:
            _note(connection, before, steps)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return steps


def _note(connection: sqlite3.Connection, before: Sequence[Step], now: Sequence[Step]) -> None:
    """`before` too: a file of the first version has no note of them."""
    _run(connection, NOTES)
    rows = [(*step, None) for step in before] + [(*step, time.time_ns() // 1000) for step in now]
    connection.executemany("INSERT OR IGNORE INTO lamp_steps VALUES (?, ?, ?, ?)", rows)
    _run(connection, NUMBER)


def look(path: Path, patience: float, read: Callable[[sqlite3.Connection], T]) -> T | None:
    """What a file holds, None if there is none. A store's own connection would make it, or turn it to WAL."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=patience)) as connection:
            return read(connection)
    except sqlite3.Error as error:
        raise explain(error, path) from error


@contextmanager
def _connected(path: Path, patience: float) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(path, patience=patience)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Statement by statement: `executescript` would commit first."""
    unfinished = ""
    for line in script.splitlines(keepends=True):
        unfinished += line
        if sqlite3.complete_statement(unfinished):
            connection.execute(unfinished)
            unfinished = ""
