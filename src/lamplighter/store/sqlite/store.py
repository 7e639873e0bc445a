"""The SQLite store: what `base.Store` promises, over a thread that writes, one that reads, and a peek."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from lamplighter.core.clock import maybe_from_us, maybe_to_us, to_us
from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.flow_control import LIMIT, GateView, Order, ShareView
from lamplighter.core.log_line import Logged, LogLine, LogPlace
from lamplighter.core.model import (
    Added,
    Arguments,
    Beat,
    Beaten,
    Cancelled,
    Claimed,
    EndedJob,
    EndedPlace,
    Failure,
    JobView,
    Keep,
    NewJob,
    Outcome,
    QueueStats,
    Record,
    Swept,
    Where,
)
from lamplighter.store.sqlite import attempts, log, operators, records, views
from lamplighter.store.sqlite.add import add
from lamplighter.store.sqlite.batch import run
from lamplighter.store.sqlite.children import any_settled
from lamplighter.store.sqlite.claim import Lease, claim, is_needed
from lamplighter.store.sqlite.connection import explain
from lamplighter.store.sqlite.page import arguments, page
from lamplighter.store.sqlite.peek import Peek, version
from lamplighter.store.sqlite.schema import SqliteSchema
from lamplighter.store.sqlite.settle import order
from lamplighter.store.sqlite.sweep import next_moment, sweep
from lamplighter.store.sqlite.thread import SqliteThread
from lamplighter.store.sqlite.transaction import cursor_of
from lamplighter.store.sqlite.url import parse, show
from lamplighter.store.sqlite.watch import Watch
from lamplighter.store.sqlite.writer import Writer, open_writer


class _Opened(NamedTuple):
    writer: Writer
    reader: SqliteThread
    peek: Peek


class SqliteStore:
    """Jobs in one SQLite file (see `base.Store`).

    Args:
        path: the file; its folder must exist.
        synchronous: `full` (the default) survives a power cut; with `normal` one can undo the last commits.
        patience: seconds to wait for another process that holds the file, before StoreUnavailable.
    """

    def __init__(self, path: Path, *, synchronous: str = "full", patience: float = 10) -> None:
        self.path = path.absolute()  # it stays this file wherever the process goes
        self._synchronous = synchronous
        self._patience = patience
        self._watch = Watch(lambda: self._at().peek.look(version))
        self._door = threading.Lock()  # held while opening and closing
        self._inside = 0  # how often it was entered
        self._opened: _Opened | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The store of `sqlite:///relative.db` or `sqlite:////absolute.db`, with `?synchronous=` and `&patience=`."""
        place = parse(url)
        return cls(place.path, synchronous=place.synchronous, patience=place.patience)

    @property
    def url(self) -> str:
        return show(self.path)

    async def __aenter__(self) -> Self:
        entering = asyncio.ensure_future(asyncio.to_thread(self._enter))
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:  # the thread cannot be stopped, but what it opens must not stay open
            await asyncio.wait([entering])
            if entering.exception() is None:
                await asyncio.to_thread(self._leave)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self._leave)

    def _enter(self) -> None:
        with self._door:
            if self._opened is None:
                self._opened = self._open()
            self._inside += 1

    def _leave(self) -> None:
        with self._door:
            self._inside = max(self._inside - 1, 0)
            if self._inside == 0 and self._opened is not None:
                opened, self._opened = self._opened, None
                for part in opened:
                    part.close()

    def _open(self) -> _Opened:
        SqliteSchema(self.path, patience=self._patience).prepare()
        with ExitStack() as undo:
            peek = Peek(self.path, patience=self._patience)
            undo.callback(peek.close)
            reader = SqliteThread(self.path, access="read", patience=self._patience)
            undo.callback(reader.close)
            writer = open_writer(self.path, synchronous=self._synchronous, patience=self._patience)
            undo.pop_all()
        return _Opened(writer, reader, peek)

    def _at(self) -> _Opened:
        if self._opened is None:
            raise StoreUnavailable(f"The store {self.url} is not open: enter it with `async with` first.")
        return self._opened

    async def add(self, jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        if tx is not None:
            return self.add_within(tx, jobs, now=now)
        added = await self._at().writer.run(lambda connection: add(connection, jobs, to_us(now)))
        self._watch.ring()
        return added

    def add_within(self, tx: object, jobs: Sequence[NewJob], *, now: datetime) -> list[Added]:
        try:
            return add(cursor_of(tx, self.path), jobs, to_us(now))
        except sqlite3.Error as error:
            raise explain(error, self.path) from error

    async def claim(
        self, queues: Sequence[str], limit: int, *, worker: str, lease: timedelta, now: datetime
    ) -> list[Claimed]:
        opened, until = self._at(), Lease(worker, to_us(now + lease), to_us(now))
        if limit <= 0 or not opened.peek.look(lambda connection: is_needed(connection, queues, until.now)):
            return []  # an idle worker must not take the file's one write lock to learn that it has nothing to do
        claimed, done = await opened.writer.run(lambda connection: claim(connection, queues, limit, until))
        if not done:
            self._watch.ring()
        return claimed

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime) -> list[str]:
        opened = self._at()
        won = await opened.writer.run(lambda connection: attempts.finish(connection, outcomes, to_us(now)))
        if opened.peek.look(any_settled):
            self._watch.ring()
        return won

    async def beat(self, beats: Sequence[Beat], *, lease: timedelta, now: datetime) -> Beaten:
        until = to_us(now + lease)
        return await self._at().writer.run(lambda connection: attempts.beat(connection, beats, until))

    async def sweep(self, limit: int, *, now: datetime) -> Swept:
        opened, moment = self._at(), to_us(now)
        next_at = opened.peek.look(next_moment)
        if next_at is None or (next_at is not True and next_at > moment):
            return Swept(0, [], maybe_from_us(next_at))
        swept = await opened.writer.run(lambda connection: sweep(connection, limit, moment))
        self._watch.ring()
        return swept

    async def cancel(self, where: Where, *, limit: int, now: datetime, keep_until: datetime | None = None) -> Cancelled:
        moment, keep = to_us(now), maybe_to_us(keep_until)
        return await self._at().writer.run(lambda connection: operators.cancel(connection, where, limit, moment, keep))

    async def retry(self, where: Where, *, limit: int, now: datetime) -> list[str]:
        retried = await self._at().writer.run(lambda connection: operators.retry(connection, where, limit, to_us(now)))
        self._watch.ring()
        return retried

    async def prune(self, keep: Keep, *, limit: int, now: datetime) -> int:
        return await self._at().writer.run(lambda connection: operators.prune(connection, keep, limit, to_us(now)))

    async def forget(self, where: Where, *, limit: int) -> list[str]:
        return await self._at().writer.run(lambda connection: operators.forget(connection, where, limit))

    async def page(self, where: Where, *, limit: int, before: str | None = None) -> list[JobView]:
        return await self._at().reader.run(lambda connection: page(connection, where, limit, before=before))

    async def arguments(self, where: Where, *, limit: int, before: str | None = None) -> list[Arguments]:
        return await self._at().reader.run(lambda connection: arguments(connection, where, limit, before))

    async def ended(self, after: EndedPlace, *, limit: int) -> list[EndedJob]:
        return await self._at().reader.run(lambda connection: views.ended(connection, after, limit))

    async def failures(self, job: str) -> list[Failure]:
        return await self._at().reader.run(lambda connection: views.failures(connection, job))

    async def log(self, logged: Sequence[Logged], *, keep: int) -> None:
        await self._at().writer.run(lambda connection: log.log(connection, logged, keep))

    async def logs(self, job: str, *, limit: int, after: LogPlace | None = None) -> list[LogLine]:
        return await self._at().reader.run(lambda connection: log.logs(connection, job, limit, after))

    async def stats(self) -> list[QueueStats]:
        return await self._at().reader.run(views.stats)

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._at().writer.run(lambda connection: run(connection, "pause", queue=queue, paused=paused))
        self._watch.ring()

    async def put(self, record: Record) -> None:
        await self._at().writer.run(lambda connection: records.put(connection, record))
        if record.kind == LIMIT:
            self._watch.ring()

    async def drop(self, kind: str, name: str) -> None:
        await self._at().writer.run(lambda connection: records.drop(connection, kind, name))
        if kind == LIMIT:
            self._watch.ring()

    async def records(self, kind: str, *, now: datetime) -> list[Record]:
        return await self._at().reader.run(lambda connection: records.records(connection, kind, to_us(now)))

    async def order(self, orders: Sequence[Order], *, now: datetime) -> None:
        await self._at().writer.run(lambda connection: order(connection, orders, to_us(now)))
        self._watch.ring()

    async def gates(self, keys: Sequence[str] = (), *, limit: int, now: datetime) -> list[GateView]:
        return await self._at().reader.run(lambda connection: views.gates(connection, keys, limit, to_us(now)))

    async def shares(self, queue: str, *, limit: int) -> list[ShareView]:
        return await self._at().reader.run(lambda connection: views.shares(connection, queue, limit))

    async def time(self) -> datetime | None:
        return None

    def wake(self) -> AsyncIterator[None]:
        return self._watch.listen()
