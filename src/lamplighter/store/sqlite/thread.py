"""A thread that owns one connection to a SQLite file and commits whatever waits together.

While one transaction is being made durable the next requests gather, and go into the following one: under load many
small writes share one fsync, and a lone write waits for nobody.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple, TypeVar

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.sqlite.connection import connect, explain, is_busy, was_closed, when_free

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

MOST_TOGETHER = 256  # requests in one transaction: it must not hold the file against other processes for long


class _Request(NamedTuple):
    work: Work[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


_Answer = tuple[_Request, Any, Exception | None]


class SqliteThread:
    """Runs functions on a connection, each batch of them in one transaction.

    A function must be safe to run again: when one of a batch fails, all are rolled back and run one by one.
    """

    def __init__(
        self, path: Path, *, access: Literal["read", "write"], synchronous: str = "FULL", patience: float = 10
    ) -> None:
        self.path = path
        self._writes = access == "write"
        self._patience = patience  # seconds to wait for another process that holds the file
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._door = threading.Lock()  # so that no request comes in behind the last one, where nobody would answer it
        self._closed = False
        self._connection = connect(path, synchronous=synchronous, patience=patience)
        if self._writes:
            self._connection.execute("PRAGMA busy_timeout = 0")  # `when_free` waits instead
        self._file = _identity(path)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._serve, name=f"lamplighter-sqlite-{access}", daemon=True)
        self._thread.start()

    @property
    def has_file(self) -> bool:
        """Whether the file is still where it was opened."""
        return _identity(self.path) == self._file

    async def run(self, work: Work[T]) -> T:
        """What `work(connection)` returns, once it is durable.

        Raises:
            StoreUnavailable: the file is locked, full, read-only or failing; or it was closed here.
            StoreDamaged: the file is corrupt.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._ask(_Request(work, future, loop))
        return await future

    def close(self) -> None:
        """Finish what was asked, then let go of the file."""
        if os.getpid() != self._process:
            return  # the file's locks belong to the parent: to close it here would break them there
        with self._door:
            if self._closed:
                return
            self._closed = True
            self._requests.put(None)
        self._thread.join()
        self._connection.close()

    def _ask(self, request: _Request) -> None:
        refuse_fork(self._process, self.path)
        with self._door:
            if self._closed:
                raise was_closed(self.path)
            self._requests.put(request)

    def _serve(self) -> None:
        while (first := self._requests.get()) is not None:
            batch, closing = self._gather(first)
            _answer(self._commit(batch))
            if closing:
                return

    def _gather(self, first: _Request) -> tuple[list[_Request], bool]:
        batch = [first]
        while len(batch) < MOST_TOGETHER:
            try:
                request = self._requests.get_nowait()
            except Empty:
                break
            if request is None:
                return batch, True
            batch.append(request)
        return batch, False

    def _commit(self, batch: list[_Request]) -> list[_Answer]:
        batch = [request for request in batch if not request.future.cancelled()]  # a claim for nobody would be stuck
        try:
            values = self._transaction([request.work for request in batch])
            return [(request, value, None) for request, value in zip(batch, values, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to whoever asked
            if len(batch) > 1 and not is_busy(error):
                return [answer for request in batch for answer in self._commit([request])]
            # a lock was waited for already: each of them waiting anew would keep the last for minutes
            return [(request, None, explain(error, self.path)) for request in batch]

    def _transaction(self, works: list[Work[Any]]) -> list[Any]:
        if not works:
            return []
        self._begin()
        try:
            values = [work(self._connection) for work in works]
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return values

    def _begin(self) -> None:
        if not self._writes:
            self._connection.execute("BEGIN")
            return
        if not self.has_file:  # SQLite would go on writing to a file that nobody finds again
            raise StoreUnavailable(
                f"the database file {self.path} was moved or deleted while in use: put it back, or restart."
            )
        when_free(lambda: self._connection.execute("BEGIN IMMEDIATE"), self._patience)


def refuse_fork(opened_by: int, path: Path) -> None:
    """Raise unless this is the process that opened the file: SQLite's locks and our threads stay behind in a fork.

    Raises:
        StoreUnavailable: this is another process.
    """
    if os.getpid() != opened_by:
        raise StoreUnavailable(f"the database file {path} was opened before a fork: open the store after it instead.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _answer(answers: list[_Answer]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = defaultdict(list)
    for answer in answers:
        by_loop[answer[0].loop].append(answer)
    for loop, mine in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:  # that loop is closed: nobody waits any more
            continue


def _resolve(answers: list[_Answer]) -> None:
    for request, value, error in answers:
        if request.future.done():
            continue
        if error is None:
            request.future.set_result(value)
        else:
            request.future.set_exception(error)
