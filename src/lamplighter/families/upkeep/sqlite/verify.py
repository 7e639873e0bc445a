"""Seeing that a backup is one: it is restored, opened as a store opens its file, read whole, and counted."""

from __future__ import annotations

import math
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import NamedTuple

from lamplighter.core.errors import StoreError
from lamplighter.families.upkeep.finding import UpkeepError
from lamplighter.families.upkeep.sqlite.file import reading
from lamplighter.families.upkeep.sqlite.work import check
from lamplighter.families.upkeep.turn import Turn
from lamplighter.integrations.storage import migrate
from lamplighter.store.sqlite.schema import SqliteSchema

COUNTED = """
SELECT queue, state, count(*) FROM lamp_jobs GROUP BY 1, 2 UNION ALL
SELECT queue, 'held', count(*) FROM lamp_held GROUP BY 1, 2 UNION ALL
SELECT queue, state, count(*) FROM lamp_ended GROUP BY 1, 2 ORDER BY 1, 2
"""
TOLD = "SELECT queue, state, n FROM lamp_counts WHERE n <> 0 ORDER BY 1, 2"


class Restored(NamedTuple):
    """What was in a backup. None: it holds no such tables."""

    jobs: int | None
    tables: str | None

    @property
    def told(self) -> str:
        jobs = [] if self.jobs is None else [f"{self.jobs:,} jobs"]
        tables = [] if self.tables is None else [f"tables of version {self.tables}"]
        return f"{' and '.join(jobs + tables)}, read whole."


def verified(copy: Path) -> Restored:
    """What is in a backup, once it was restored beside it; nothing is left of that. Raises what `restore` raises."""
    with tempfile.TemporaryDirectory(dir=copy.absolute().parent, prefix=".restored-") as folder:
        return restore(copy, Path(folder) / copy.name, Turn(math.inf))


def restore(copy: Path, to: Path, turn: Turn) -> Restored:
    """Restore a copy to another file, and see that it is whole, of this version, and holds what it says.

    Raises:
        UpkeepError: it is not so.
        GaveWay: there was not time enough.
    """
    try:
        shutil.copyfile(copy, to)
    except OSError as error:
        raise UpkeepError(
            f"{copy} cannot be restored ({error.strerror}): see that it is there, and that there is room."
        ) from error
    try:
        for _ in check(to, turn):
            pass
        with reading(to, turn) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            jobs = _count(connection, copy) if "lamp_jobs" in names else None
            tables = _version(connection, copy) if migrate.VERSION_TABLE in names else None
        if jobs is None and tables is None:
            raise UpkeepError(f"{copy} holds nothing of Lamplighter: it is a backup of something else.")
        if jobs is not None:
            SqliteSchema(to).prepare()  # opens it as workers do, and refuses what is of another version
    except StoreError as error:
        raise UpkeepError(f"the backup {copy} is not good: {error}") from error
    return Restored(jobs, tables)


def _count(connection: sqlite3.Connection, copy: Path) -> int:
    told, counted = connection.execute(TOLD).fetchall(), connection.execute(COUNTED).fetchall()
    if told != counted:
        raise UpkeepError(f"the backup {copy} does not hold the jobs that it says: make another, and keep this one.")
    return sum(number for _, _, number in counted)


def _version(connection: sqlite3.Connection, copy: Path) -> str:
    row = connection.execute(f"SELECT version_num FROM {migrate.VERSION_TABLE}").fetchone()  # noqa: S608 - a constant
    if row is None or row[0] not in migrate.steps():
        raise UpkeepError(f"the tables in the backup {copy} are of no version that this Lamplighter knows: upgrade it.")
    return str(row[0])
