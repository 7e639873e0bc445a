"""Upkeep of PostgreSQL: what is found is true, what is done gives room back, and nobody waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.families.upkeep.bloating import PATIENCE, ROWS, TIMES, Bloated, keep

from lamplighter.families.upkeep.finding import Finding
from lamplighter.families.upkeep.ledger import Run
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.upkeep import Upkeep, Which

LONG = (
    f"{20 * PATIENCE.total_seconds():.0f}s"  # a machine may stall: to the lock timeout itself bench/upkeep.py holds it
)


@pytest.fixture
def bloated(postgres_schema_url: str) -> Bloated:
    return Bloated(postgres_schema_url)


async def found(upkeep: Upkeep, task: str, subject: str) -> Finding:
    report = await upkeep.report()
    assert not report.troubles
    [one] = [one for one in report.findings if (one.task, one.subject.partition(".")[2]) == (task, subject)]
    return one


@contextmanager
def at_work(bloated: Bloated) -> Iterator[list[str]]:
    """Somebody who changes and reads rows all the time, and does not wait for a lock that is held for long."""
    over, refused = threading.Event(), list[str]()

    def work() -> None:
        with bloated.connect() as connection:
            connection.execute(f"SET lock_timeout = '{LONG}'".encode())
            number = 0
            while not over.is_set():
                number = (number + 7919) % ROWS
                try:
                    id_ = TIMES * (number + 1)
                    connection.execute(f"UPDATE {bloated.table} SET branch = branch + 1 WHERE id = {id_}".encode())
                    connection.execute(f"SELECT * FROM {bloated.table} WHERE id = {id_}".encode())
                except psycopg.Error as error:
                    refused.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield refused
    finally:
        over.set()
        thread.join()


async def test_a_table_bloated_on_purpose_comes_back_to_a_fifth_above_fresh_while_nobody_waits_for_long(
    bloated: Bloated,
) -> None:
    bloated.make()
    before, fresh = bloated.sizes(), bloated.fresh()
    assert before[0] > 2.5 * fresh[0]
    assert before[1] > 2.5 * fresh[1]
    async with bloated.kept() as upkeep:
        with at_work(bloated) as refused:
            runs = await keep(upkeep)
        assert {run.outcome for run in runs} == {"done"}
    after = bloated.sizes()
    assert after[0] <= 1.2 * fresh[0]
    assert after[1] <= 1.2 * fresh[1]
    assert refused == []
    with bloated.connect() as connection:
        row = connection.execute(
            f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {bloated.table}".encode()
        ).fetchone()
    assert row == {"n": ROWS, "ids": ROWS}


async def test_what_is_found_before_is_what_is_done_and_looking_changes_nothing(bloated: Bloated) -> None:
    bloated.make(rows=8000)
    async with bloated.kept() as upkeep:
        before = bloated.sizes()
        compact = await found(upkeep, "compact", "account")
        assert compact.is_due
        assert "could be given back, by an estimate: its rows are moved ahead" in compact.says
        assert bloated.sizes() == before
        due = {one.key for one in (await upkeep.report()).due if one.task == "compact"}
        assert {run.key for run in await keep(upkeep, "compact")} == due
        assert not (await found(upkeep, "compact", "account")).is_due


async def test_the_estimate_is_near_the_truth_and_pgstattuple_is_asked_where_it_is(bloated: Bloated) -> None:
    bloated.make()
    own, indexes = bloated.fresh()
    async with bloated.kept() as upkeep:
        table = await found(upkeep, "compact", "account")
        assert table.figures["by"] == "estimate"
        assert float(table.figures["fresh"]) == pytest.approx(own, rel=0.1)
        names = ("account_pkey", "account_of_branch")
        estimated = [float((await found(upkeep, "reindex", name)).figures["fresh"]) for name in names]
        assert sum(estimated) == pytest.approx(indexes, rel=0.1)
        with bloated.connect() as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        try:
            exact = await found(upkeep, "compact", "account")
            assert exact.figures["by"] == "pgstattuple"
            assert float(exact.figures["fresh"]) == pytest.approx(float(table.figures["fresh"]), rel=0.15)
        finally:
            with bloated.connect() as connection:
                connection.execute("DROP EXTENSION pgstattuple")


async def test_rows_that_somebody_holds_are_not_waited_for_and_moved_another_time(bloated: Bloated) -> None:
    bloated.make(rows=8000)
    before = bloated.sizes()[0]
    async with bloated.kept() as upkeep:
        with bloated.connect() as connection, connection.transaction():
            connection.execute(f"SELECT * FROM {bloated.table} WHERE id > 20000 FOR UPDATE".encode())
            [run] = await keep(upkeep, "compact")
            assert run.outcome == "stopped"
            assert "transactions are open that began before" in run.says
        [run] = await keep(upkeep, "compact")
        assert run.outcome == "done"
    assert bloated.sizes()[0] < before / 2


async def test_a_table_with_triggers_is_left_alone_for_they_would_fire(bloated: Bloated) -> None:
    bloated.make(rows=8000)
    with bloated.connect() as connection:
        for statement in (
            f"CREATE FUNCTION {bloated.schema}.no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$",
            f"CREATE TRIGGER no BEFORE UPDATE ON {bloated.table} EXECUTE FUNCTION {bloated.schema}.no()",
        ):
            connection.execute(statement.encode())
    async with bloated.kept() as upkeep:
        one = await found(upkeep, "compact", "account")
        assert (one.is_due, one.is_held) == (False, True)
        assert "nothing is done: it has triggers that would fire" in one.says
        assert await keep(upkeep, "compact") == []


async def test_nothing_is_freed_while_a_transaction_is_open_for_too_long(bloated: Bloated) -> None:
    bloated.make(rows=8000)
    async with bloated.kept(upkeep_oldest_transaction=PATIENCE) as upkeep:
        with bloated.connect() as connection, connection.transaction():
            connection.execute("SELECT txid_current()")
            connection.execute("SELECT pg_sleep(0.7)")
            report = await upkeep.report()
            held = {one.task for one in report.findings if one.is_held}
            assert {"transactions", "compact"} <= held
            assert not report.due or {one.task for one in report.due} == {"analyze"}
        assert (await found(upkeep, "compact", "account")).is_due


async def test_whoever_wants_to_alter_the_table_need_not_wait(bloated: Bloated) -> None:
    """A REINDEX waits for open transactions, and an ALTER TABLE behind it would make every query wait behind that."""
    bloated.make(rows=8000)
    async with bloated.kept() as upkeep:
        with bloated.connect() as connection, connection.transaction():
            connection.execute(f"UPDATE {bloated.table} SET branch = 1 WHERE id = 3".encode())
            running = asyncio.create_task(keep(upkeep, "reindex"))
            await _until(bloated, "SELECT 1 FROM pg_stat_progress_create_index", running)
            altering = asyncio.create_task(asyncio.to_thread(_alter, bloated))
            await _until(
                bloated, f"SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '{bloated.table}'::regclass", running
            )
            first = await running
        await altering
        assert {run.outcome for run in first} == {"stopped"}, first
        assert "somebody waited for it" in first[0].says
        while any(one.task == "reindex" for one in (await upkeep.report()).due):
            assert {run.outcome for run in await keep(upkeep, "reindex")} == {"done"}
    with bloated.connect() as connection:
        left = connection.execute("SELECT 1 FROM pg_index WHERE NOT indisvalid").fetchall()
    assert left == [], "what was half built is gone"


async def test_a_vacuum_of_the_servers_own_accord_is_waited_for_until_the_server_ends_it(bloated: Bloated) -> None:
    """Which it does after its deadlock timeout, a second: longer than anybody else may wait for anybody."""
    bloated.make(rows=8000)
    async with bloated.kept() as upkeep:
        with bloated.connect() as connection, connection.transaction():
            connection.execute(f"LOCK TABLE {bloated.table} IN SHARE UPDATE EXCLUSIVE MODE".encode())  # as one has it
            running = asyncio.create_task(keep(upkeep, "compact"))
            await _until(
                bloated, "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'ShareUpdateExclusiveLock'", running
            )
            await asyncio.sleep(2 * PATIENCE.total_seconds())
        [run] = await running
        assert run.outcome == "done", run.says


async def test_what_a_killed_reindex_left_behind_is_dropped(bloated: Bloated) -> None:
    bloated.make(rows=500)
    with bloated.connect() as connection:
        connection.execute(f"UPDATE {bloated.table} SET branch = 1".encode())
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY account_of_branch_ccnew ON {bloated.table} (branch)".encode()
            )
    async with bloated.kept() as upkeep:
        one = await found(upkeep, "reindex", "account_of_branch_ccnew")
        assert one.is_due
        assert "it is dropped" in one.says
        [run] = [run for run in await keep(upkeep, "reindex") if run.subject.endswith("_ccnew")]
        assert (run.outcome, run.bytes_after) == ("done", 0)


async def test_two_processes_do_not_keep_one_database_up_at_once(bloated: Bloated) -> None:
    bloated.make(rows=500)
    with bloated.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('lamplighter'), hashtext('upkeep'))")
        async with bloated.kept() as upkeep:
            [run] = await keep(upkeep)
            assert run.outcome == "failed"
            assert "another process is keeping" in run.says


async def test_a_turn_that_is_over_stops_it_and_the_next_one_goes_on(bloated: Bloated) -> None:
    bloated.make(rows=8000)
    before = bloated.sizes()[0]
    async with bloated.kept() as upkeep:
        turn = Turn(60)

        def say(what: str) -> None:
            if "moving" in what:
                turn.stop()

        [run] = await upkeep.run(turn, asked_by="auth|5", which=Which(("compact",)), say=say)
        assert run.outcome == "stopped", run.says
        while (await found(upkeep, "compact", "account")).is_due:
            await keep(upkeep, "compact")
    assert bloated.sizes()[0] < before / 2


async def test_a_pooler_in_between_is_told_of_not_used(bloated: Bloated) -> None:
    async with bloated.kept() as upkeep:
        assert not (await upkeep.report()).troubles
    async with bloated.kept(store=f"{bloated.url}&pooler=transaction") as upkeep:
        [trouble] = (await upkeep.report()).troubles
        assert "is behind a pooler" in trouble.says


async def _until(bloated: Bloated, question: str, running: asyncio.Task[list[Run]]) -> None:
    """Until the server says yes, as long as that runs."""
    with bloated.connect() as connection:
        while not connection.execute(question.encode()).fetchall():
            assert not running.done(), running.result()
            await asyncio.sleep(0.01)


def _alter(bloated: Bloated) -> None:
    with bloated.connect() as connection:
        connection.execute(f"ALTER TABLE {bloated.table} ADD COLUMN later integer".encode())
