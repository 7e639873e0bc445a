"""A recovery journal on disk: a rotated token outlives a SIGKILL between the provider's answer and the database's.

Each process appends to one file of its own and holds a lock on it (flock), which the kernel lets go when the process
dies. An unlocked file with open entries is therefore the estate of a dead process, to be replayed by any other.
Each record starts with a line break, so one that was torn spoils only itself.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from lamplighter.core.errors import LamplighterError
from lamplighter.core.flush import flush
from lamplighter.integrations.vault import Vault

SUFFIX = ".journal"
LARGEST = 1024 * 1024  # bytes; under constant load there is always an open entry, so a file must not wait to be empty


class JournalError(LamplighterError):
    """The journal's folder or files cannot be used."""


class _Record(Struct, frozen=True, omit_defaults=True):
    """One line. Without `sealed` it says that the entry of that number is settled."""

    number: int
    integration_id: str = ""
    token_version: int = 0
    sealed: str = ""


class Entry(Struct, frozen=True, eq=False):
    """One token that may not be in the database yet."""

    record: _Record
    file: _JournalFile
    vault: Vault

    @property
    def integration_id(self) -> str:
        """Whose token it is."""
        return self.record.integration_id

    @property
    def token_version(self) -> int:
        """The version that the caller gave it."""
        return self.record.token_version

    @property
    def payload(self) -> bytes:
        """What was recorded, decrypted now. Raises VaultError, for this entry only."""
        text = self.vault.decrypt(self.record.sealed, _place(self.integration_id, self.token_version))
        return text.encode("latin-1")

    def sync(self) -> None:
        """Make it outlive a power cut too. Slow: for when the first database try failed. Raises JournalError."""
        self.file.sync()


class Journal:
    """This process's journal file, and those it adopts from dead processes. Raises JournalError for a bad folder."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        self._own = _JournalFile.create(folder)
        self._adopted: dict[Path, _JournalFile] = {}
        self._full: list[_JournalFile] = []  # files of our own that still have open entries

    def record(self, integration_id: str, token_version: int, payload: bytes) -> Entry:
        """Write `payload` down, encrypted, before the database is tried. Raises JournalError."""
        text = payload.decode("latin-1")  # any bytes at all, as the text that the vault takes
        sealed = self._vault.encrypt(text, _place(integration_id, token_version))
        self._turn_page()
        return Entry(self._own.append(integration_id, token_version, sealed), self._own, self._vault)

    def settle(self, entry: Entry) -> None:
        """The entry's token is committed: forget it."""
        entry.file.settle(entry.record)
        if entry.file in self._full and not entry.file.open:
            self._full.remove(entry.file)
            entry.file.remove()
            entry.file.close()

    def orphans(self) -> list[Entry]:
        """The open entries of dead processes: replay each, then `discard` it. Until then it is listed each time.

        No other process is given them while this one lives. Raises JournalError.
        """
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if path not in self._adopted and (file := _JournalFile.adopt(path)) is not None:
                self._adopted[path] = file
        self._drop_empty()
        return [Entry(record, file, self._vault) for file in self._adopted.values() for record in file.open.values()]

    def discard(self, entry: Entry) -> None:
        """The orphan's token is committed, or known to be outdated: forget it."""
        entry.file.settle(entry.record)
        self._drop_empty()

    def close(self) -> None:
        """Let go of all files. Those with open entries stay behind, as orphans for the next process."""
        self._drop_empty()
        if not self._own.open:
            self._own.remove()
        for file in (self._own, *self._full, *self._adopted.values()):
            file.close()
        self._adopted.clear()
        self._full.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _turn_page(self) -> None:
        if self._own.size >= LARGEST:
            file = _JournalFile.create(self._folder)
            self._full.append(self._own)
            self._own = file

    def _drop_empty(self) -> None:
        for path in [path for path, file in self._adopted.items() if not file.open]:
            file = self._adopted.pop(path)
            file.remove()
            file.close()


class _JournalFile:
    """One locked file and its open records by number."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.open: dict[int, _Record] = {}
        self.size = 0  # bytes written since it was last empty
        self._descriptor = descriptor
        self._last = 0

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new file, locked before it gets the name by which others look for estates."""
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        draft, path = folder / f"{name}.new", folder / f"{name}{SUFFIX}"
        with _explained(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            draft.rename(path)
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """The file of a dead process, now locked by this one; None if its owner lives or it is gone."""
        with _explained(path):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
            except FileNotFoundError:
                return None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            file = cls(path, descriptor)
            with open(descriptor, "rb", closefd=False) as content:
                file._load(content.read())
        return file

    def append(self, integration_id: str, token_version: int, sealed: str) -> _Record:
        self._last += 1
        record = _Record(self._last, integration_id, token_version, sealed)
        with _explained(self.path):
            self._write(record)
        self.open[record.number] = record
        return record

    def settle(self, record: _Record) -> None:
        if self.open.pop(record.number, None) is None:
            return
        # A full disk at this point costs a replay, which the token's version refuses: no reason to fail a refresh.
        with suppress(OSError):
            if self.open:
                self._write(_Record(record.number))
            else:
                os.ftruncate(self._descriptor, 0)
                self.size = 0

    def sync(self) -> None:
        with _explained(self.path):
            os.fsync(self._descriptor)
            flush(self.path.parent)  # the file's name has to last as well

    def remove(self) -> None:
        """Empty it first: who has opened it meanwhile must find nothing to replay."""
        with _explained(self.path):
            os.ftruncate(self._descriptor, 0)
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1  # the number is soon another file's: a late settle must not empty that

    def _write(self, record: _Record) -> None:
        line = b"\n" + msgspec.json.encode(record)
        self.size += len(line)
        if os.write(self._descriptor, line) < len(line):
            raise OSError("only a part could be written: the disk is full or a limit is reached")

    def _load(self, data: bytes) -> None:
        for line in data.split(b"\n"):
            with suppress(ValueError):  # torn
                record = msgspec.json.decode(line, type=_Record)
                self._last = max(self._last, record.number)
                if record.sealed:
                    self.open[record.number] = record
                else:
                    self.open.pop(record.number, None)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JournalError(
            f"the recovery journal cannot use {path} ({error.strerror or error}): make it writable and free some space."
        ) from error


def _place(integration_id: str, token_version: int) -> str:
    return f"journal/{integration_id}/{token_version}"
