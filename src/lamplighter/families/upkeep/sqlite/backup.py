"""Backups of a SQLite file that is in use: one moment of it, restored once before it counts as a backup.

SQLite's own backup copies pages while others write. Between its steps a transaction is held open that reads: so all
pages are of one moment, and it need not begin anew whenever somebody writes, which in a busy file is always.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from lamplighter.core.flush import flush
from lamplighter.families.upkeep.finding import GaveWay, UpkeepError
from lamplighter.families.upkeep.sqlite.file import reading
from lamplighter.families.upkeep.sqlite.verify import restore
from lamplighter.families.upkeep.turn import Turn

PAGES = 256  # of one step: a megabyte, with the usual size of pages
PAUSE = 0.002  # seconds between two steps
ROOM = 2.1  # times the file: for the copy, and for what it is restored to
ABANDONED = 86_400  # seconds after which what no backup was made of is deleted
STAMP = "%Y%m%dT%H%M%SZ"


class Backup(NamedTuple):
    """A copy that was restored once."""

    path: Path
    made_at: datetime
    bytes: int


class Shelf:
    """The backups of one file in a folder, by the moment that each is of."""

    def __init__(self, folder: Path, file: Path) -> None:
        digest = hashlib.blake2b(
            str(file.absolute()).encode(), digest_size=2
        ).hexdigest()  # two files may have one name
        self.folder = folder.absolute()
        self._stem = f"{file.stem}-{digest}-"

    def backups(self) -> list[Backup]:
        """The newest first."""
        found = [self._read(path) for path in self.folder.glob(f"{glob_escape(self._stem)}*.db")]
        return sorted((one for one in found if one is not None), key=lambda one: one.made_at, reverse=True)

    def place(self, now: datetime) -> Path:
        """Of one that is made now."""
        return self.folder / f"{self._stem}{now.astimezone(UTC).strftime(STAMP)}.db"

    def keep(self, number: int) -> None:
        """Delete all but the newest."""
        for one in self.backups()[number:]:
            one.path.unlink(missing_ok=True)

    def clear_up(self) -> None:
        """Delete what a process that was killed left behind."""
        for path in self.folder.glob(f".{glob_escape(self._stem)}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()

    def _read(self, path: Path) -> Backup | None:
        try:
            moment = datetime.strptime(path.stem.removeprefix(self._stem), STAMP).replace(tzinfo=UTC)
            return Backup(path, moment, path.stat().st_size)
        except (ValueError, OSError):
            return None


def back_up(file: Path, folder: Path, kept: int, turn: Turn, *, now: datetime) -> Iterator[str]:
    """Copy the file into the folder, restore the copy, and keep the newest `kept`.

    Raises:
        UpkeepError: there is no room for it, the folder cannot be written, or the copy is not good.
        GaveWay: there was not time enough.
    """
    shelf = Shelf(folder, file)
    try:
        shelf.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shelf.clear_up()
        _look_for_room(file, shelf.folder)
        final = shelf.place(now)
        copy, restored = (final.with_name(f".{final.name}.{os.getpid()}.{what}") for what in ("part", "restored"))
        with _gone(copy, restored):
            yield f"copying {file.name}"
            _copy(file, copy, turn)
            yield "restoring the copy"
            checked = restore(copy, restored, turn)
            copy.rename(final)
            flush(shelf.folder)
        shelf.keep(kept)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UpkeepError(f"no backup can be made in {shelf.folder} ({reason}): see that this user may.") from error
    yield f"{final.name} is good: {checked.told}"


def _copy(file: Path, copy: Path, turn: Turn) -> None:
    with suppress(FileExistsError):
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # it holds all that the file does

    def progress(_status: int, _left: int, _total: int) -> None:
        if turn.is_over:
            raise GaveWay("there was not time enough to copy the file: it is tried again.")

    with reading(file) as source, closing(sqlite3.connect(copy, isolation_level=None)) as target:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on it sees one moment
        source.backup(target, pages=PAGES, progress=progress, sleep=PAUSE)
    flush(copy)


def _look_for_room(file: Path, folder: Path) -> None:
    needed, free = int(file.stat().st_size * ROOM), shutil.disk_usage(folder).free
    if free < needed:
        raise UpkeepError(
            f"{folder} has {free / 1e6:,.0f} MB free, and a backup that is restored once takes {needed / 1e6:,.0f} MB: "
            "free some, or name another backup_folder."
        )


@contextmanager
def _gone(*paths: Path) -> Iterator[None]:
    """What must not be left, with what SQLite makes beside it."""
    try:
        yield
    finally:
        for path in paths:
            for end in ("", "-wal", "-shm", "-journal"):
                Path(f"{path}{end}").unlink(missing_ok=True)


def glob_escape(text: str) -> str:
    """A name as a pattern that matches only it."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
