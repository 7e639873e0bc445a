"""What a change of some files does to the counts of their source."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Connection, update

from lamplighter.integrations.storage.file_tables import file_sources

_row = file_sources.c


class Counted(Protocol):
    """A row of a file, as far as it is counted."""

    @property
    def is_folder(self) -> bool: ...
    @property
    def status(self) -> str: ...


class Tally:
    """Sums, to be added to the source in the transaction that changes the files. `changed`: things told anew."""

    def __init__(self) -> None:
        self.files = 0
        self.pending = 0
        self.failed = 0
        self.changed = 0

    def came(self, status: str, *, is_folder: bool) -> None:
        """One is there now in that status."""
        self._add(status, 1, is_folder=is_folder)

    def went(self, row: Counted) -> None:
        """One is there no more."""
        self._add(row.status, -1, is_folder=row.is_folder)

    def store(self, connection: Connection, source_id: str, **values: Any) -> None:
        """Add it to the source, and set other values with it."""
        sums: dict[str, Any] = {
            "files": _row.files + self.files,
            "pending": _row.pending + self.pending,
            "failed": _row.failed + self.failed,
        }
        if values or self.files or self.pending or self.failed:
            connection.execute(update(file_sources).where(_row.id == source_id).values(sums | values))

    def _add(self, status: str, number: int, *, is_folder: bool) -> None:
        if is_folder:
            return
        self.files += number
        self.pending += number * (status == "pending")
        self.failed += number * (status == "error")
