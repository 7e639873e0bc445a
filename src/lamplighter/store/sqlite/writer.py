"""The one thread of this process that writes to a file, shared by all who write there.

Two would wait for each other's commits, and each make its own durable: the jobs and the service's tables of an app are
in one file, and written by turns. Shared, what waits together is one commit, whoever asked for it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from lamplighter.store.sqlite.connection import was_closed
from lamplighter.store.sqlite.thread import SqliteThread, Work

T = TypeVar("T")


class _Key(NamedTuple):
    path: Path
    synchronous: str
    patience: float


class _Shared:
    """A thread, and how many have it."""

    def __init__(self, thread: SqliteThread) -> None:
        self.thread = thread
        self.holders = 1


class Writer:
    """One holder's share of the thread."""

    def __init__(self, thread: SqliteThread, give_back: Callable[[], None]) -> None:
        self.path = thread.path
        self._thread = thread
        self._give_back = give_back
        self._closed = False

    async def run(self, work: Work[T]) -> T:
        """As `SqliteThread.run`."""
        if self._closed:
            raise was_closed(self.path)
        return await self._thread.run(work)

    def close(self) -> None:
        """Give the share back; the last one ends the thread, once all that was asked is done."""
        if not self._closed:
            self._closed = True
            self._give_back()


def open_writer(path: Path, *, synchronous: str, patience: float) -> Writer:
    """A share of the thread that writes to the file in this way. Raises what `SqliteThread` raises."""
    key = _Key(path.resolve(), synchronous.lower(), patience)
    with _door:
        shared = _threads.get(key)
        if shared is not None and shared.thread.has_file:
            shared.holders += 1
        else:  # none yet, or one whose file was moved away: it answers its holders, and nobody new
            shared = _threads[key] = _Shared(
                SqliteThread(path, access="write", synchronous=synchronous, patience=patience)
            )
    return Writer(shared.thread, lambda: _give_back(key, shared))


def _give_back(key: _Key, shared: _Shared) -> None:
    with _door:
        shared.holders -= 1
        is_last = shared.holders == 0
        if is_last and _threads.get(key) is shared:
            del _threads[key]
    if is_last:
        shared.thread.close()


def _forget() -> None:
    """In a forked process: the threads stayed behind, and the door may be shut by one of them."""
    global _door  # noqa: PLW0603
    _door = threading.Lock()
    _threads.clear()


_threads: dict[_Key, _Shared] = {}
_door = threading.Lock()
os.register_at_fork(after_in_child=_forget)
