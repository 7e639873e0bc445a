"""Flow control in a SQLite file: what triggers count, and what an idle worker may not do."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from tests.store.recount import miscounted

from lamplighter.core.errors import QueueFull
from lamplighter.core.flow_control import GateRule, QueueRule
from lamplighter.store.sqlite import SqliteStore, connect
from lamplighter.testing.conformance._make import NOW, add, claim, ids_of, job, later, rule
from lamplighter.testing.conformance.model import HISTORIES, Histories


class Recounted(Histories):
    """Histories after each step of which everything is counted anew."""

    connection: sqlite3.Connection

    @invariant()
    def what_is_counted_is_what_there_is(self) -> None:
        assert miscounted(self.connection) == {}


async def test_whatever_happens_all_is_counted(path: Path) -> None:
    def live(store: SqliteStore) -> None:
        with asyncio.Runner() as runner, closing(connect(path)) as connection:
            named = {"store": store, "runner": runner, "connection": connection}
            run_state_machine_as_test(
                type("Recounted", (Recounted,), named), settings=settings(HISTORIES, max_examples=60)
            )

    async with SqliteStore(path) as store:
        await asyncio.to_thread(live, store)


async def test_an_idle_worker_before_a_shut_gate_does_not_need_the_write_lock(store: SqliteStore, path: Path) -> None:
    await rule(store, "one", GateRule(running=1))
    await add(store, *(job(limits=("one:a",)) for _ in range(3)))
    assert len(await claim(store)) == 1
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await claim(store) == []


async def test_a_gate_that_time_has_opened_is_noticed_by_an_idle_worker(store: SqliteStore) -> None:
    await rule(store, "rate", GateRule(interval=10_000_000))
    await add(store, *(job(limits=("rate:a",)) for _ in range(2)))
    assert len(await claim(store)) == 1
    assert await claim(store, now=later(9)) == []
    assert len(await claim(store, now=later(10))) == 1


async def test_a_refused_batch_leaves_the_transaction_that_it_was_to_join_as_it_was(
    store: SqliteStore, path: Path
) -> None:
    await rule(store, "mail", QueueRule(most=1))
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE orders (id)")
        theirs.execute("INSERT INTO orders VALUES (1)")
        with pytest.raises(QueueFull):
            store.add_within(theirs, [job(), job()], now=NOW)
        store.add_within(theirs, [new := job()], now=NOW)
        theirs.commit()
        assert theirs.execute("SELECT count(*) FROM orders").fetchone() == (1,)
    assert await ids_of(store) == [new.id]
