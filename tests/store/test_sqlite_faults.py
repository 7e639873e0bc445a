"""Real faults under the SQLite store: each is told in one sentence, and loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lamplighter.core.errors import StoreDamaged, StoreUnavailable
from lamplighter.core.model import Keep, Where
from lamplighter.store.sqlite import SqliteStore, connect
from lamplighter.store.sqlite.schema import SqliteSchema
from lamplighter.testing.conformance._make import MANY, NOW, add, claim, ended, failure, ids_of, job, outcome, started

Child = subprocess.Popen[str]
StartChild = Callable[..., Child]

NOBODY = 65534  # the user id without rights

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE IF NOT EXISTS theirs (x)")
print("held")
sys.stdin.readline()
connection.execute("ROLLBACK")
print("let go")
"""


def hold(start: StartChild, path: Path) -> Child:
    """Another process that has the file locked until it gets a line."""
    child = start(HOLD, path)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def let_go(child: Child) -> None:
    said, _ = child.communicate("\n")
    assert said == "let go\n"


async def test_a_file_locked_by_another_process_is_unavailable_until_it_lets_go(
    store: SqliteStore, start: StartChild
) -> None:
    [before] = await add(store, job())
    child = hold(start, store.path)
    adds = [store.add([job()], now=NOW) for _ in range(20)]
    for error in await asyncio.gather(*adds, return_exceptions=True):
        assert isinstance(error, StoreUnavailable)
        assert "locked by another process: find it with `lsof`" in str(error)
    assert await ids_of(store) == [before], "reading goes on, and what was refused was not done"
    let_go(child)
    [after] = await add(store, job())
    assert await ids_of(store) == [after, before]


async def test_who_is_patient_waits_for_the_lock(path: Path, start: StartChild) -> None:
    async with SqliteStore(path, patience=60) as store:
        child = hold(start, path)
        adding = asyncio.create_task(add(store, job()))
        await store.stats()
        assert not adding.done()
        let_go(child)
        added = await adding
        assert await ids_of(store) == added


async def test_a_file_of_the_application_that_is_locked_cannot_be_opened_yet(path: Path, start: StartChild) -> None:
    child = hold(start, path)
    with pytest.raises(StoreUnavailable, match="locked by another process"):
        await SqliteStore(path, patience=0.05).__aenter__()
    let_go(child)
    async with SqliteStore(path) as store:
        await add(store, job())


async def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    write(path, diary := b"Dear diary, " * 1000)
    with pytest.raises(StoreDamaged, match="is not a SQLite database: point the store URL at another file"):
        await SqliteStore(path).__aenter__()
    assert read(path) == diary


async def test_a_corrupt_file_is_said_to_be_corrupt(path: Path) -> None:
    async with SqliteStore(path) as store:
        await add(store, *(job(args='"' + "x" * 2000 + '"') for _ in range(200)))
    whole = read(path)
    write(path, whole[:8192] + os.urandom(len(whole) - 8192))
    with pytest.raises(StoreDamaged, match="is corrupt: stop all workers and restore it from a backup"):
        async with SqliteStore(path) as store:
            await claim(store)


async def test_a_file_that_goes_away_while_in_use_is_not_written_to_in_vain(store: SqliteStore) -> None:
    [before] = await add(store, job())
    away = store.path.rename(store.path.with_suffix(".away"))
    with pytest.raises(StoreUnavailable, match="moved or deleted while in use: put it back"):
        await store.add([job()], now=NOW)
    away.rename(store.path)
    [after] = await add(store, job())
    assert await ids_of(store) == [after, before]


async def test_a_full_database_refuses_what_does_not_fit_and_keeps_the_rest(store: SqliteStore) -> None:
    def limit(pages: int) -> Awaitable[object]:
        return opened.writer.run(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchone())

    opened = store._at()
    [before] = await add(store, job())
    await limit(30)  # less than it has is as much as it has
    with pytest.raises(StoreUnavailable, match="the disk is full: free some space; nothing stored was lost"):
        await store.add([job(args='"' + "x" * 200_000 + '"')], now=NOW)
    [attempt] = await claim(store)
    assert await store.finish([outcome(attempt, "done")], now=NOW) == [before], "what fits is still done"
    await limit(1_000_000)
    [after] = await add(store, job(args='"' + "x" * 200_000 + '"'))
    assert await ids_of(store) == [after, before]


ADD = """
import asyncio, os, resource, sys
from pathlib import Path
from lamplighter.core.errors import StoreError
from lamplighter.store.sqlite import SqliteStore
from lamplighter.testing.conformance._make import NOW, job

async def add_until_refused(path, bytes_at_most, user):
    if user and os.getuid() == 0:  # no permission holds root back
        os.setgid(user)
        os.setuid(user)
    async with SqliteStore(path) as store:
        if bytes_at_most:
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_at_most, resource.RLIM_INFINITY))
        for _ in range(100):
            new = job(args='"' + "x" * 10_000 + '"')
            await store.add([new], now=NOW)
            print(new.id)

try:
    asyncio.run(add_until_refused(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
except StoreError as error:
    print(type(error).__name__, error)
"""


async def test_a_disk_that_takes_no_more_costs_nothing_that_was_acknowledged(path: Path, start: StartChild) -> None:
    said, _ = start(ADD, path, 400_000, 0).communicate()
    *acknowledged, last = said.splitlines()
    assert last.startswith(f"StoreUnavailable the database file {path} cannot ")
    assert last.endswith(("free space.", "nothing stored was lost."))
    assert 0 < len(acknowledged) < 100
    async with SqliteStore(path) as store:
        assert sorted(await ids_of(store)) == acknowledged
        await add(store, job())
    assert sound(path)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that an unprivileged user reaches too; pytest's own are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_file_that_may_only_be_read_is_said_to_be_read_only(shared_folder: Path, start: StartChild) -> None:
    path = shared_folder / "jobs.db"
    SqliteSchema(path).prepare()
    path.chmod(0o444)
    shared_folder.chmod(0o777)
    said, _ = start(ADD, path, 0, NOBODY).communicate()
    assert said == (
        f"StoreUnavailable the database file {path} is read-only: "
        "give this user write access to the file and its folder.\n"
    )


def test_a_folder_that_may_only_be_read_is_said_to_need_write_access(shared_folder: Path, start: StartChild) -> None:
    path = shared_folder / "jobs.db"
    SqliteSchema(path).prepare()
    path.chmod(0o666)
    shared_folder.chmod(0o555)
    said, _ = start(ADD, path, 0, NOBODY).communicate()
    assert said.startswith(f"StoreUnavailable the database file {path} ")
    assert said.endswith("access to the file and its folder.\n")


def test_a_file_that_may_not_be_read_is_said_to_need_access(shared_folder: Path, start: StartChild) -> None:
    path = shared_folder / "jobs.db"
    SqliteSchema(path).prepare()
    path.chmod(0o000)
    said, _ = start(ADD, path, 0, NOBODY).communicate()
    assert said.startswith(f"StoreUnavailable the database file {path} cannot be opened: give this user access")


async def test_an_applications_own_tables_and_ours_share_a_file(path: Path) -> None:
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE files (name TEXT)")
    theirs.execute("INSERT INTO files VALUES ('a.txt')")
    theirs.commit()
    async with SqliteStore(path) as store:
        await add(store, job())
        assert theirs.execute("SELECT name FROM files").fetchall() == [("a.txt",)]
    theirs.close()


async def test_text_after_a_nul_is_not_cut_off(store: SqliteStore) -> None:
    attempt = await started(store, job(tenant="a\0b"))
    assert attempt.tenant == "a␀b"
    why = failure(attempt, "read \0 of 5")
    await store.finish([outcome(attempt, "fail", failure=why, reason="x\0y", result='"\\u0000"')], now=NOW)
    [view] = await store.page(only(attempt.id), limit=1)
    assert (view.reason, view.result) == ("x␀y", '"\\u0000"')
    assert [one.message for one in await store.failures(attempt.id)] == ["read ␀ of 5"]


async def test_space_goes_back_to_the_disk_after_a_flood(path: Path) -> None:
    async with SqliteStore(path) as store:
        for _ in range(10):
            await add(store, *(job(args='"' + "x" * 1000 + '"') for _ in range(1000)))
            await store.finish([outcome(attempt, "done") for attempt in await claim(store)], now=NOW)
        while await store.prune(Keep(0, 0), limit=5000, now=NOW):
            pass
        flooded = pages(path)
        for _ in range(10):
            await store.prune(Keep(0, 0), limit=MANY, now=NOW)
        assert pages(path) < flooded / 2
        await ended(store)
    assert sound(path)


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def only(id_: str) -> Where:
    return Where(ids=(id_,))


def pages(path: Path) -> int:
    connection = connect(path)
    try:
        return int(connection.execute("PRAGMA page_count").fetchone()[0])
    finally:
        connection.close()


def sound(path: Path) -> bool:
    connection = connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()
