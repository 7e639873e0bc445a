"""One SQLite file as upkeep sees it: looked at, measured, and kept up step by step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from lamplighter.core.clock import Clock
from lamplighter.core.duration import rough_duration
from lamplighter.core.errors import StoreUnavailable
from lamplighter.families.upkeep.finding import Finding, Size
from lamplighter.families.upkeep.sqlite import work
from lamplighter.families.upkeep.sqlite.backup import Shelf, back_up
from lamplighter.families.upkeep.sqlite.file import INCREMENTAL, Figures, figures, reading
from lamplighter.families.upkeep.turn import Turn
from lamplighter.integrations.storage.upkeep_tables import metadata
from lamplighter.store.sqlite.url import show

LONG_LOG = 4_000_000  # bytes: SQLite's own checkpoints keep a log at about that
DAILY = timedelta(hours=20)  # after which the next backup is due, so that it is made each night


class SqliteDatabase:
    """A file (see `kept.Database`). `least` bytes and the share `wasted` of it may be free, before it is shrunk."""

    tasks = ("check", "optimize", "shrink", "checkpoint", "backup")

    def __init__(self, path: Path, *, least: int, wasted: float, backups: Path | None, kept: int, clock: Clock) -> None:
        self.url = show(path)
        self.path = path
        self.shelf = None if backups is None else Shelf(backups, path)
        self.kept = kept
        self.least = least
        self.wasted = wasted
        self.now = clock

    @asynccontextmanager
    async def opened(self, lock_timeout: timedelta) -> AsyncIterator[SqliteSession]:
        if not self.path.exists():
            raise StoreUnavailable(
                f"there is no file {self.path}: correct the store URL, or run `lamplighter migrate`."
            )
        yield SqliteSession(self, lock_timeout.total_seconds())


class SqliteSession:
    """A file while it is looked at; every step has a connection of its own (see `kept.Session`)."""

    def __init__(self, database: SqliteDatabase, patience: float) -> None:
        self._database = database
        self._patience = patience

    async def find(self) -> list[Finding]:
        return await asyncio.to_thread(self._find)

    async def sizes(self) -> list[Size]:
        url, name = self._database.url, self._database.path.name
        seen = await asyncio.to_thread(figures, self._database.path)
        return [
            Size(url, name, "file", seen.size),
            Size(url, f"{name} (free)", "free", seen.free),
            Size(url, f"{name}-wal", "log", seen.log),
        ]

    async def hold(self) -> None:
        """Two that do this at once are only slower: each step is whole by itself."""

    async def steps(self, finding: Finding, turn: Turn) -> AsyncIterator[str]:
        steps = self._work(finding, turn)
        while (step := await _next(steps, turn)) is not None:
            yield step

    async def weigh(self, finding: Finding) -> int | None:
        if finding.task == "backup" and self._database.shelf is not None:
            newest = await asyncio.to_thread(self._database.shelf.backups)
            return newest[0].bytes if newest else None
        seen = await asyncio.to_thread(figures, self._database.path)
        return seen.log if finding.task == "checkpoint" else seen.size

    def _work(self, finding: Finding, turn: Turn) -> Iterator[str]:
        path, database = self._database.path, self._database
        match finding.task:
            case "check":
                return work.check(path, turn)
            case "optimize":
                return work.analyze(path, self._unlooked(), self._patience, turn)
            case "shrink":
                return work.shrink(path, self._patience, turn)
            case "checkpoint":
                return work.checkpoint(path, turn)
            case _:
                assert database.shelf is not None, "a backup is due only where there is a folder for it"
                return back_up(path, database.shelf.folder, database.kept, turn, now=database.now())

    def _find(self) -> list[Finding]:
        seen = figures(self._database.path)
        return [self._check(seen), self._optimize(seen), self._shrink(seen), self._checkpoint(seen), self._backup(seen)]

    def _check(self, seen: Figures) -> Finding:
        return self._finding(
            "check", seen.size, "It is read whole once a week, to see that nothing in it is damaged.", is_due=True
        )

    def _optimize(self, seen: Figures) -> Finding:
        names = self._unlooked()
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
        says = f"Samples are taken anew of {some}." if names else "What is known of its tables is new enough."
        return self._finding("optimize", seen.size, says, is_due=bool(names), tables=len(names))

    def _shrink(self, seen: Figures) -> Finding:
        is_past = seen.free >= self._database.least and seen.free > self._database.wasted * seen.size
        found = f"{seen.free / 1e6:,.1f} of {seen.size / 1e6:,.1f} MB are free"
        if not is_past:
            says = f"{found}: within bounds."
        elif seen.auto_vacuum == INCREMENTAL:
            says = f"{found}: they are given back to the disk, a few pages at a time."
        else:
            says = (
                f"{found}, and stay so, for the file was not made by Lamplighter. Stop all workers, then run "
                "`PRAGMA auto_vacuum = INCREMENTAL; VACUUM` on it, which takes as much room again."
            )
        is_due = is_past and seen.auto_vacuum == INCREMENTAL
        is_held = is_past and not is_due
        return self._finding("shrink", seen.size, says, is_due=is_due, is_held=is_held, wasted=seen.free)

    def _checkpoint(self, seen: Figures) -> Finding:
        is_due = seen.log > LONG_LOG
        then = "it is brought into the file, and emptied" if is_due else "within bounds"
        return self._finding("checkpoint", seen.log, f"Its log has {seen.log / 1e6:,.1f} MB: {then}.", is_due=is_due)

    def _backup(self, seen: Figures) -> Finding:
        shelf = self._database.shelf
        if shelf is None:
            says = "None is made: set backup_folder, on another disk."
            return self._finding("backup", seen.size, says, is_due=False, is_held=True)
        backups = shelf.backups()
        if not backups:
            return self._finding("backup", seen.size, f"There is none in {shelf.folder}: one is made.", is_due=True)
        age = self._database.now() - backups[0].made_at
        is_due = age > DAILY
        says = f"{len(backups)} kept, the newest is {rough_duration(age)} old{': another is made' if is_due else ''}."
        return self._finding(
            "backup", seen.size, says, is_due=is_due, kept=len(backups), age=round(age.total_seconds())
        )

    def _unlooked(self) -> list[str]:
        """Of the service's tables only: how jobs are found is written for a file without statistics."""
        with reading(self._database.path) as connection:
            return work.unlooked(connection, frozenset(metadata.tables))

    def _finding(
        self,
        task: str,
        size: int,
        says: str,
        *,
        is_due: bool,
        is_held: bool = False,
        wasted: int | None = None,
        **figures: int,
    ) -> Finding:
        return Finding(
            task=task,  # type: ignore[arg-type]  # one of ours
            database=self._database.url,
            subject=self._database.path.name,
            is_due=is_due,
            is_held=is_held,
            says=says,
            size=size,
            wasted=wasted,
            figures=figures,
        )


async def _next(steps: Iterator[str], turn: Turn) -> str | None:
    """The next step, in a thread. Whoever is cancelled waits until it is over, which is soon."""
    step = asyncio.ensure_future(asyncio.to_thread(next, steps, None))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        turn.stop()
        await asyncio.wait([step])
        raise
