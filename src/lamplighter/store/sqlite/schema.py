"""The version of the tables in a file, and the steps to the next. Steps only go forward."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from pathlib import Path

from lamplighter.core.errors import StoreDamaged
from lamplighter.store.sqlite.connection import connect, explain

NEWEST = 2


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a file; 0 when it has no tables of ours yet."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'lamp_schema'").fetchone()
    return connection.execute("SELECT version FROM lamp_schema").fetchone()[0] if found else 0


def prepare(path: Path, *, patience: float = 10) -> None:
    """Make the tables in a new file; refuse a file of another version.

    Raises:
        StoreDamaged: the file is older (migrate it) or newer (upgrade this package).
    """
    connection = connect(path, patience=patience)
    try:
        version = version_of(connection)
        if version == 0:
            _migrate(connection)
        elif version < NEWEST:
            raise StoreDamaged(
                f"the database file {path} has schema {version} instead of {NEWEST}: run `lamplighter migrate`."
            )
        elif version > NEWEST:
            raise StoreDamaged(f"the database file {path} was written by a newer Lamplighter: upgrade this one.")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    finally:
        connection.close()


def migrate(path: Path) -> list[int]:
    """Take the steps that a file lacks, each in a transaction of its own; returns their numbers."""
    connection = connect(path)
    try:
        return _migrate(connection)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    finally:
        connection.close()


def _migrate(connection: sqlite3.Connection) -> list[int]:
    taken: list[int] = []
    while (step := _take_next(connection)) is not None:
        taken.append(step)
    return taken


def _take_next(connection: sqlite3.Connection) -> int | None:
    connection.execute("BEGIN IMMEDIATE")  # two processes may start on a new file at the same moment
    try:
        step = version_of(connection) + 1
        if step <= NEWEST:
            for statement in _statements(step):
                connection.execute(statement)
            connection.execute("CREATE TABLE IF NOT EXISTS lamp_schema (version INTEGER NOT NULL)")
            connection.execute("DELETE FROM lamp_schema")
            connection.execute("INSERT INTO lamp_schema VALUES (?)", (step,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return step if step <= NEWEST else None


def _statements(step: int) -> list[str]:
    folder = files(__package__).joinpath("migrations")
    [script] = [file for file in folder.iterdir() if file.name.startswith(f"{step:03}_")]
    statements, pending = [], ""
    for line in script.read_text(encoding="utf-8").splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
