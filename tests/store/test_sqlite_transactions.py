"""Jobs in the application's own transaction: they exist if it commits, and never were if it rolls back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

from lamplighter.core.errors import StoreDamaged, StoreUnavailable, TransactionUnsupported
from lamplighter.store.sqlite import SqliteStore, connect
from lamplighter.testing.conformance._make import NOW, add, ids_of, job, unique

Begin = Callable[[Path], AbstractContextManager[Any]]


@contextmanager
def in_sqlite3(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@contextmanager
def in_own_connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def in_sqlite3_with_rows_as_dicts(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = lambda cursor, row: {
            column[0]: value for column, value in zip(cursor.description, row, strict=True)
        }
        yield connection


@contextmanager
def in_sqlalchemy_connection(path: Path) -> Iterator[Any]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def in_sqlalchemy_session(path: Path) -> Iterator[Session]:
    engine = create_engine(f"sqlite:///{path}")
    with Session(engine) as session:
        yield session
    engine.dispose()


@contextmanager
def in_sqlalchemy_over_own_connection(path: Path) -> Iterator[Any]:
    """Where SQLAlchemy itself says when to begin, as its documentation recommends for SQLite."""
    engine = create_engine("sqlite://", creator=lambda: connect(path))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection:
        connection.begin()
        yield connection
    engine.dispose()


@pytest.fixture(
    params=[
        in_sqlite3,
        in_own_connection,
        in_sqlite3_with_rows_as_dicts,
        in_sqlalchemy_connection,
        in_sqlalchemy_session,
        in_sqlalchemy_over_own_connection,
    ]
)
def begin(request: pytest.FixtureRequest) -> Begin:
    found: Begin = request.param
    return found


async def test_jobs_exist_once_the_transaction_commits(store: SqliteStore, begin: Begin) -> None:
    new, keyed = job(), unique()
    with begin(store.path) as tx:
        await store.add([new], now=NOW, tx=tx)
        [added] = store.add_within(tx, [keyed], now=NOW)
        assert (added.id, added.created) == (keyed.id, True)
        assert await ids_of(store) == []
        tx.commit()
    assert await ids_of(store) == [keyed.id, new.id]


async def test_jobs_never_were_if_the_transaction_rolls_back(store: SqliteStore, begin: Begin) -> None:
    with begin(store.path) as tx:
        await store.add([job(), unique()], now=NOW, tx=tx)
        tx.rollback()
    assert await ids_of(store) == []
    await add(store, unique())


async def test_a_key_that_is_held_is_answered_inside_a_transaction_too(store: SqliteStore, begin: Begin) -> None:
    [holder] = await add(store, unique())
    with begin(store.path) as tx:
        [added] = await store.add([unique()], now=NOW, tx=tx)
        tx.commit()
    assert (added.id, added.created) == (holder, False)


async def test_a_transaction_on_another_file_is_refused(store: SqliteStore, begin: Begin, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with begin(other) as tx, pytest.raises(TransactionUnsupported, match=r"other\.db, but the jobs are in"):
        await store.add([job()], now=NOW, tx=tx)


async def test_a_transaction_in_memory_is_refused(store: SqliteStore) -> None:
    with closing(sqlite3.connect(":memory:")) as tx, pytest.raises(TransactionUnsupported, match="open on memory"):
        store.add_within(tx, [job()], now=NOW)


async def test_the_same_file_by_another_name_is_the_same_file(store: SqliteStore, tmp_path: Path) -> None:
    link(tmp_path / "link.db", store.path)
    with closing(sqlite3.connect(tmp_path / "link.db")) as tx:
        store.add_within(tx, [job()], now=NOW)
        tx.commit()
    assert len(await ids_of(store)) == 1


def link(name: Path, target: Path) -> None:
    name.symlink_to(target)


async def test_a_connection_that_commits_each_statement_is_no_transaction(store: SqliteStore) -> None:
    with closing(connect(store.path)) as tx, pytest.raises(TransactionUnsupported, match="execute BEGIN first"):
        store.add_within(tx, [job()], now=NOW)


async def test_an_asynchronous_session_is_refused(store: SqliteStore) -> None:
    class AsyncSession:  # SQLAlchemy's own needs greenlet, which we do not depend on
        sync_session = None

    with pytest.raises(TransactionUnsupported, match="tx=AsyncSession is no transaction"):
        await store.add([job()], now=NOW, tx=AsyncSession())


async def test_a_transaction_that_read_too_early_is_told_to_try_again(store: SqliteStore) -> None:
    with closing(connect(store.path)) as tx:
        tx.execute("BEGIN")
        tx.execute("SELECT count(*) FROM lamp_jobs").fetchone()
        await add(store, job())
        with pytest.raises(StoreUnavailable, match="roll back and try again, or start with BEGIN IMMEDIATE"):
            store.add_within(tx, [job()], now=NOW)


async def test_a_file_without_our_tables_is_told_to_migrate(path: Path) -> None:
    store = SqliteStore(path)
    with closing(sqlite3.connect(path)) as tx:
        tx.execute("CREATE TABLE theirs (x)")
    with closing(sqlite3.connect(path)) as tx, pytest.raises(StoreDamaged, match="run `lamplighter migrate` first"):
        store.add_within(tx, [job()], now=NOW)


async def test_jobs_and_data_stand_or_fall_together(store: SqliteStore) -> None:
    engine = create_engine(f"sqlite:///{store.path}")
    with Session(engine) as session:
        session.execute(text("CREATE TABLE files (name TEXT PRIMARY KEY)"))
        session.commit()
        session.execute(text("INSERT INTO files VALUES ('a.txt')"))
        await store.add([kept := job()], now=NOW, tx=session)
        session.commit()
        session.execute(text("INSERT INTO files VALUES ('b.txt')"))
        await store.add([job()], now=NOW, tx=session)
        session.rollback()
        assert session.execute(text("SELECT name FROM files")).scalars().all() == ["a.txt"]
    engine.dispose()
    assert await ids_of(store) == [kept.id]
