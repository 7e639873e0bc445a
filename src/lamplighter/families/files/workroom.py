"""Where files lie while they are read: in a folder that only this user can look into, gone when they are read."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "lamplighter-files-"
LEFT_BEHIND = 3600  # seconds without a change: no file is read for so long


@contextmanager
def workroom() -> Iterator[Path]:
    """A new one."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        yield Path(folder)


def clear_up() -> None:
    """Delete those of processes that were killed."""
    now = time.time()
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else's, or gone
            if not folder.is_symlink() and now - folder.stat().st_mtime > LEFT_BEHIND:
                shutil.rmtree(folder)
