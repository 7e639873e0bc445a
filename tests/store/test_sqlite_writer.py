"""The writer of a file: one thread for all of this process, for as long as anybody has a share in it."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from lamplighter.core.errors import StoreUnavailable
from lamplighter.integrations.storage.database import Database
from lamplighter.store.sqlite import SqliteStore
from lamplighter.store.sqlite.writer import Writer, open_writer


@pytest.fixture
def writer(path: Path) -> Callable[..., Writer]:
    def open_one(place: Path = path, *, synchronous: str = "full") -> Writer:
        return open_writer(place, synchronous=synchronous, patience=10)

    return open_one


def writers() -> int:
    return sum(thread.name == "lamplighter-sqlite-write" for thread in threading.enumerate())


async def test_jobs_and_the_tables_of_the_service_share_one_writer(path: Path) -> None:
    async with SqliteStore(path), Database(f"sqlite:///{path}"):
        assert writers() == 1
    assert writers() == 0


async def test_it_is_one_however_its_file_is_written(
    path: Path, writer: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    both = writer(path), writer(Path(path.name), synchronous="FULL")
    assert writers() == 1
    for one in both:
        one.close()


async def test_who_wants_commits_to_be_made_otherwise_has_a_writer_of_its_own(writer: Callable[..., Writer]) -> None:
    both = writer(), writer(synchronous="normal")
    assert writers() == 2
    for one in both:
        one.close()


async def test_it_ends_with_its_last_holder(writer: Callable[..., Writer]) -> None:
    first, last = writer(), writer()
    first.close()
    first.close()  # which gives nothing back twice
    assert await last.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    last.close()
    assert writers() == 0


async def test_who_gave_its_share_back_has_no_more_use_of_it(writer: Callable[..., Writer]) -> None:
    mine, theirs = writer(), writer()
    mine.close()
    with pytest.raises(StoreUnavailable, match="was closed: open the store again"):
        await mine.run(lambda _: None)
    theirs.close()


async def test_a_new_file_in_the_place_of_one_that_was_moved_has_a_writer_of_its_own(
    path: Path, writer: Callable[..., Writer]
) -> None:
    old = writer()
    path.rename(path.with_suffix(".moved"))
    new = writer()
    await new.run(lambda connection: connection.execute("CREATE TABLE anew (x)"))
    with pytest.raises(StoreUnavailable, match="was moved or deleted"):
        await old.run(lambda _: None)
    newer = writer()
    old.close()  # which must not take the new one along
    assert await newer.run(lambda connection: connection.execute("SELECT count(*) FROM anew").fetchone()) == (0,)
    for one in (new, newer):
        one.close()
    assert writers() == 0


async def test_a_forked_process_has_a_writer_of_its_own(path: Path, writer: Callable[..., Writer]) -> None:
    parents = writer()
    mine, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_open_there, args=(writer, theirs))
    child.start()
    assert mine.recv() == 1
    child.join()
    assert child.exitcode == 0
    assert await parents.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    parents.close()


def _open_there(writer: Callable[..., Writer], answer: Connection) -> None:
    one = writer()
    answer.send(writers())
    one.close()
