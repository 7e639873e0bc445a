"""Archives in a folder. An object is there once it is on the disk, whole: before that nothing is deleted elsewhere.

A link to a finished file is what makes it appear, for a link fails where something is. obstore's own store for folders
does not wait for the disk.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from lamplighter.core.flush import flush
from lamplighter.families.audit.storage import ArchiveAltered, ArchiveDown, ArchiveMissing

PRIVATE = 0o600


class Folder:
    """The folder has to be there: one that is missing may be a disk that is not mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def place(self) -> str:
        return f"file://{self._root}"

    async def put_new(self, key: str, content: bytes) -> bool:
        return await asyncio.to_thread(self._put_new, key, content)

    async def get(self, key: str, most: int) -> bytes:
        return await asyncio.to_thread(self._get, key, most)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    def _put_new(self, key: str, content: bytes) -> bool:
        path = self._root / key
        try:
            self._refuse_if_missing()
            _make(path.parent, self._root)
            for left in path.parent.glob(f".{path.name}.*.part"):  # by somebody who was killed
                left.unlink(missing_ok=True)
            part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            _write(part, content)
            try:
                os.link(part, path)
            except FileExistsError:
                return False
            finally:
                part.unlink(missing_ok=True)
            flush(path.parent)
        except OSError as error:
            raise self._down(error) from error
        return True

    def _get(self, key: str, most: int) -> bytes:
        self._refuse_if_missing()
        try:
            with (self._root / key).open("rb") as file:
                content = file.read(most + 1)
        except FileNotFoundError:
            raise ArchiveMissing(f"the archive {key} is not in {self.place}: bring it back from a backup.") from None
        except OSError as error:
            raise self._down(error) from error
        if len(content) > most:
            raise ArchiveAltered(f"the archive {key} is longer than it was written: bring it back from a backup.")
        return content

    def _delete(self, key: str) -> None:
        path = self._root / key
        try:
            self._refuse_if_missing()
            path.unlink(missing_ok=True)
            if path.parent.exists():
                flush(path.parent)
        except OSError as error:
            raise self._down(error) from error

    def _refuse_if_missing(self) -> None:
        if not self._root.is_dir():
            raise ArchiveDown(f"there is no folder {self._root} for archives: mount or make it, or set audit_archive.")

    def _down(self, error: OSError) -> ArchiveDown:
        reason = error.strerror or type(error).__name__
        return ArchiveDown(f"the archives in {self._root} cannot be reached ({reason}): see that this user may.")


def _make(folder: Path, root: Path) -> None:
    """And what is above it, each durable before anything is put into it."""
    if folder == root or folder.is_dir():
        return
    _make(folder.parent, root)
    folder.mkdir(exist_ok=True)
    flush(folder.parent)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
