"""The thread that writes: who asks it is always answered, and nothing stays open behind it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lamplighter.core.errors import StoreUnavailable
from lamplighter.core.model import NewJob
from lamplighter.store.sqlite import SqliteStore
from lamplighter.store.sqlite import store as store_module
from lamplighter.store.sqlite.add import add as add_on
from lamplighter.store.sqlite.schema import SqliteSchema
from lamplighter.store.sqlite.thread import SqliteThread
from lamplighter.testing.conformance._make import NOW, add, ids_of, job

StartChild = Callable[..., subprocess.Popen[str]]


@pytest.fixture
async def writer(store: SqliteStore) -> AsyncIterator[SqliteThread]:
    thread = SqliteThread(store.path, access="write")
    yield thread
    await asyncio.to_thread(thread.close)


@asynccontextmanager
async def busy(writer: SqliteThread) -> AsyncIterator[None]:
    """The thread is inside a transaction until the end, so that requests gather behind it."""
    started, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def wait(_: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        may_end.wait()

    request = asyncio.create_task(writer.run(wait))
    await started.wait()
    try:
        yield
    finally:
        may_end.set()
        await request


def adding(writer: SqliteThread, new: NewJob) -> asyncio.Task[Any]:
    return asyncio.create_task(writer.run(lambda connection: add_on(connection, [new], 1)))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lamplighter-sqlite")]


async def test_who_asks_after_the_end_is_refused_instead_of_kept_waiting(store: SqliteStore) -> None:
    writer = SqliteThread(store.path, access="write")
    writer.close()
    with pytest.raises(StoreUnavailable, match="was closed: open the store again"):
        await writer.run(lambda _: None)


async def test_what_was_asked_before_the_end_is_done(store: SqliteStore) -> None:
    writer = SqliteThread(store.path, access="write")
    async with busy(writer):
        asked = [adding(writer, job()) for _ in range(5)]
        await asyncio.sleep(0)  # lets them ask
        closing = asyncio.create_task(asyncio.to_thread(writer.close))
    await asyncio.gather(closing, *asked)
    assert len(await ids_of(store)) == 5


async def test_it_never_waits_as_sqlite_does_which_starves_one_of_two_busy_processes(store: SqliteStore) -> None:
    waits = await store._at().writer.run(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone())
    assert waits == (0,)


async def test_it_may_be_closed_twice(store: SqliteStore) -> None:
    writer = SqliteThread(store.path, access="write")
    writer.close()
    writer.close()


async def test_what_its_caller_gave_up_before_it_began_is_not_done(store: SqliteStore, writer: SqliteThread) -> None:
    async with busy(writer):
        given_up, wanted = adding(writer, job()), adding(writer, kept := job())
        await asyncio.sleep(0)  # lets them ask
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    await wanted
    assert await ids_of(store) == [kept.id]


async def test_one_who_fails_takes_nobody_along(store: SqliteStore, writer: SqliteThread) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        add_on(connection, [job()], 1)
        raise RuntimeError("only me")

    async with busy(writer):
        before, failing, after = adding(writer, job()), asyncio.create_task(writer.run(fail)), adding(writer, job())
    await asyncio.gather(before, after)
    with pytest.raises(RuntimeError, match="only me"):
        await failing
    assert len(await ids_of(store)) == 2


async def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable, match="is not open: enter it"):
        await store.add([job()], now=NOW)
    async with store:
        await add(store, job())
    with pytest.raises(StoreUnavailable, match="is not open: enter it"):
        await store.stats()


async def test_a_store_may_be_left_twice_and_entered_again(path: Path) -> None:
    store = SqliteStore(path)
    async with store, store:
        [id_] = await add(store, job())
    await store.__aexit__()
    assert threads() == []
    async with store:
        assert await ids_of(store) == [id_]


async def test_many_tasks_may_enter_one_store_at_once(path: Path) -> None:
    store = SqliteStore(path)

    async def visit() -> None:
        async with store:
            await add(store, job())

    await asyncio.gather(*(visit() for _ in range(10)))
    assert threads() == []
    async with store:
        assert len(await ids_of(store)) == 10


async def test_a_store_that_could_be_opened_half_is_closed_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_writer(*args: Any, **options: Any) -> None:
        raise StoreUnavailable("no writer today")

    store = SqliteStore(path)
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "open_writer", no_writer)
        with pytest.raises(StoreUnavailable, match="today"):
            await store.__aenter__()
    assert threads() == []
    with sqlite3.connect(path) as alone:
        alone.execute("PRAGMA locking_mode = EXCLUSIVE")
        assert alone.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",), "a connection stayed open"
    alone.close()
    async with store:
        await add(store, job())


async def test_a_store_whose_opening_was_cancelled_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, may_open = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Waits(SqliteSchema):
        def prepare(self) -> None:
            loop.call_soon_threadsafe(opening.set)
            may_open.wait()
            super().prepare()

    monkeypatch.setattr(store_module, "SqliteSchema", Waits)
    entering = asyncio.create_task(SqliteStore(path).__aenter__())
    await opening.wait()
    entering.cancel()
    may_open.set()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert threads() == []


FORK = """
import asyncio, os, sys, warnings
from pathlib import Path
from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.sqlite import SqliteStore
from lamplighter.testing.conformance._make import LEASE, NOW, job

warnings.simplefilter("ignore")  # newer Pythons warn of what is tried here

async def attempt(call):
    try:
        await call
    except StoreUnavailable as error:
        print("refused" if "before a fork" in str(error) else error)

async def in_child(store):
    await attempt(store.add([job()], now=NOW))
    await attempt(store.claim([], 1, worker="w", lease=LEASE, now=NOW))
    await store.__aexit__()

async def main():
    async with SqliteStore(Path(sys.argv[1])) as store:
        child = os.fork()
        if child == 0:
            asyncio._set_running_loop(None)
            asyncio.run(in_child(store))
            os._exit(0)
        os.waitpid(child, 0)
        await store.add([job()], now=NOW)
    print("parent done")

asyncio.run(main())
"""


async def test_a_fork_is_refused_and_does_the_parent_no_harm(path: Path, start: StartChild) -> None:
    said, _ = start(FORK, path).communicate()
    assert said.splitlines() == ["refused", "refused", "parent done"]
    async with SqliteStore(path) as store:
        assert len(await ids_of(store)) == 1
