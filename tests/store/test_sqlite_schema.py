"""SQLite files of older versions: refused until they are migrated, then whole; and older workers go on meanwhile."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.store.recount import miscounted

from lamplighter.core.clock import to_us
from lamplighter.core.errors import StoreDamaged
from lamplighter.core.flow_control import GateRule
from lamplighter.core.model import Added, JobView, State, Where
from lamplighter.store.migrate import migrate
from lamplighter.store.sqlite import SqliteStore, connect
from lamplighter.store.sqlite.schema import STEPS, SqliteSchema, take, taken
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    end,
    ended,
    gate,
    job,
    later,
    rule,
    unique,
)

StartChild = Callable[..., subprocess.Popen[str]]
Rows = dict[str, list[tuple[Any, ...]]]

SCHEMAS = Path(__file__).with_name("schemas")
KEPT = ("jobs", "ended", "failures", "keys", "queues", "records", "counts")
SHAPE = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


@pytest.fixture
def first(path: Path) -> Path:
    """A file as version 1 left it."""
    with closing(connect(path)) as connection:
        connection.executescript((SCHEMAS / "sqlite_001.sql").read_text())
    return path


def rows_of(path: Path, columns: dict[str, list[str]]) -> Rows:
    with closing(connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT {','.join(names)} FROM lamp_{table} ORDER BY 1, 2").fetchall()
            for table, names in columns.items()
        }


def columns_of(path: Path) -> dict[str, list[str]]:
    with closing(connect(path)) as connection:
        return {table: [row[1] for row in connection.execute(f"PRAGMA table_info(lamp_{table})")] for table in KEPT}


def shape(path: Path) -> list[tuple[str, ...]]:
    with closing(connect(path)) as connection:
        return connection.execute(SHAPE).fetchall()


def counts_are_right(path: Path) -> bool:
    with closing(connect(path)) as connection:
        return miscounted(connection) == {}


async def by_name(store: SqliteStore) -> dict[str, JobView]:
    return {view.name: view for view in await store.page(EVERY, limit=MANY)}


async def test_a_file_of_the_first_version_is_refused_and_left_as_it_is(first: Path) -> None:
    before = rows_of(first, columns_of(first)), shape(first)
    with pytest.raises(StoreDamaged) as refused:
        await SqliteStore(first).__aenter__()
    told = "jobs.db lacks schema steps 2, 4, 5, 7, 8 and 9 of this version: run `lamplighter migrate`."
    assert str(refused.value).endswith(told)
    assert (rows_of(first, columns_of(first)), shape(first)) == before


@pytest.mark.parametrize("post", [False, True])
async def test_everything_in_a_file_of_the_first_version_is_kept(first: Path, post: bool) -> None:
    columns = columns_of(first)
    before = rows_of(first, columns)
    assert all(before.values())
    assert await migrate(SqliteSchema(first), post=post) == [step for step in STEPS[1:] if post or step.phase == "pre"]
    assert rows_of(first, columns) == before
    async with SqliteStore(first) as store:
        jobs = await by_name(store)
    untils = {name: view.unique.until for name, view in jobs.items() if view.unique and view.unique.mode == "period"}
    assert untils.pop("queued_period_over") == later(1)
    assert (set(untils.values()), len(untils)) == ({later(3600)}, 4)


async def test_a_migrated_file_works_on(first: Path) -> None:
    await migrate(SqliteSchema(first))
    async with SqliteStore(first) as store:
        jobs = await by_name(store)
        held = unique("order:0", mode="period", until=later(9999))
        assert (await store.add([held], now=NOW))[0].created is False, "its job was forgotten, but the key is held"
        assert await store.add([unique("file:2", mode="active")], now=NOW) == [Added(jobs["running_active"].id, False)]
        await store.pause("files", paused=False)
        attempts = {attempt.name: attempt for attempt in await claim(store)}
        assert attempts.keys() == {name for name in jobs if name.startswith("queued")}
        for attempt in attempts.values():
            await end(store, attempt, "done")
        swept = await store.sweep(MANY, now=later(120) + LEASE)
        assert swept.due == 4
        assert set(swept.rescued) == {jobs[name].id for name in jobs if name.startswith("running")}
        await store.retry(Where(ids=(jobs["failed"].id,)), limit=1, now=NOW)
        assert [one.name for one in await store.records("cron", now=NOW)] == ["nightly"]
    assert counts_are_right(first)


async def test_the_newest_schema_is_the_sum_of_its_steps_in_either_order(first: Path, tmp_path: Path) -> None:
    newest, stepwise, phases = (tmp_path / name for name in ("newest.db", "stepwise.db", "phases.db"))
    SqliteSchema(newest).prepare()
    orders = {stepwise: STEPS, phases: sorted(STEPS, key=lambda step: step.phase == "post")}
    for file, order in orders.items():
        with closing(connect(file)) as connection:
            for step in order:
                take(connection, lambda _, step=step: [step], 1)  # type: ignore[misc]
    await migrate(SqliteSchema(first), post=True)
    assert shape(stepwise) == shape(phases) == shape(newest)
    notes = [row for row in shape(first) if row[1] not in {"lamp_schema", "lamp_steps"}]
    assert notes == [row for row in shape(newest) if row[1] not in {"lamp_schema", "lamp_steps"}]


class OldWorker:
    """What a worker of version 1 does, by its own statements."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        blocks = (SCHEMAS / "sqlite_001_worker.sql").read_text().split("-- :")[1:]
        self._sql = {block.split(maxsplit=1)[0]: block.partition("\n")[2].strip().rstrip(";") for block in blocks}
        self._connection = connection
        self._now = to_us(NOW)

    def run(self, name: str, **binds: object) -> Any:
        found = self._connection.execute(self._sql[name], {"now": self._now, "parent": None, **binds}).fetchone()
        return found and found[0]

    def add(self, id_: str, name: str, key: str, mode: str, until: int | None) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        assert json.loads(self.run("known", ids=json.dumps([id_]))) == []
        self.run("take_keys", rows=json.dumps([[id_, key, until]]))
        self.run("add", rows=json.dumps([[id_, "mail", name, None, 0, self._now, "{}", key, mode]]))
        self._connection.execute("COMMIT")

    def claim(self) -> list[Any]:
        found = [json.loads(row[-1]) for row in self._connection.execute(self._sql["queued"], ("mail",))]
        ids = json.dumps([job[0] for job in found])
        self._connection.execute("BEGIN IMMEDIATE")
        self.run("let_go_pending_keys", ids=ids)
        self.run("start", ids=ids, worker="old", lease_until=self._now + 30_000_000)
        self._connection.execute("COMMIT")
        return found

    def finish(self, id_: str, fence: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        [(_, _, _, key, _)] = json.loads(self.run("held", rows=json.dumps([[id_, fence]])))
        self.run("let_go_keys", rows=json.dumps([[id_, key]]))
        self.run("end", rows=json.dumps([[id_, "done", 0, 0, None, '"old"', None]]))
        self.run("remove", ids=json.dumps([id_]))
        self._connection.execute("COMMIT")

    def retry(self, id_: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self.run("revive", ids=json.dumps([id_]))
        self.run("forget", ids=json.dumps([id_]))
        self._connection.execute("COMMIT")


async def test_a_worker_of_the_first_version_goes_on_between_pre_and_post(first: Path) -> None:
    with closing(connect(first)) as connection:
        old = OldWorker(connection)
        before = old.claim()  # its statements are prepared before the tables change
        await migrate(SqliteSchema(first))
        for id_, fence, *_ in before:
            old.finish(id_, fence)
        until = to_us(later(60))
        old.add("old-1", "old", "old", "period", until)
        [(id_, fence, *_)] = old.claim()
        async with SqliteStore(first) as store:
            assert await store.add([unique("old", mode="active")], now=NOW) == [Added("old-1", created=False)]
            old.finish(id_, fence)
            [view] = await store.page(Where(ids=("old-1",)), limit=1)
            assert view.unique is not None
            assert (view.state, view.result, view.unique.until) == (State.DONE, '"old"', later(60))
            old.retry("old-1")
            [attempt] = await claim(store)  # and a new worker takes on what an old one left
            await end(store, attempt, "done")
            [view] = await store.page(Where(ids=("old-1",)), limit=1)
            assert (attempt.id, view.unique and view.unique.until) == ("old-1", later(60))
            await ended(store, new=job())
        assert connection.execute("SELECT version FROM lamp_schema").fetchall() == [(1,)], "or it could not start again"
        await migrate(SqliteSchema(first), post=True)
        assert connection.execute("SELECT version FROM lamp_schema").fetchone() > (1,), "it must not start any more"
    assert counts_are_right(first)


async def test_a_worker_of_the_first_version_obeys_no_limits_but_loses_none(first: Path) -> None:
    with closing(connect(first)) as connection:
        old = OldWorker(connection)
        await migrate(SqliteSchema(first))
        for id_, fence, *_ in old.claim():
            old.finish(id_, fence)
        async with SqliteStore(first) as store:
            await rule(store, "one", GateRule(running=1))
            added = await add(store, *(job(limits=("one:a",)) for _ in range(3)))
            [mine] = await claim(store, queue="mail")
            theirs = old.claim()
            assert [id_ for id_, *_ in theirs] == added[1:], "they were waiting before a gate"
            assert ((await gate(store, "one:a")).running, counts_are_right(first)) == (3, True)
            for id_, fence, *_ in theirs:
                old.finish(id_, fence)
            old.retry(added[1])
            assert await claim(store, queue="mail") == []
            await end(store, mine, "done")
            assert [attempt.id for attempt in await claim(store, queue="mail")] == [added[1]]
    assert counts_are_right(first)


async def test_code_goes_on_beside_a_newer_pre_step_but_not_after_a_newer_post_step(first: Path) -> None:
    await migrate(SqliteSchema(first))
    noted = "INSERT INTO lamp_steps VALUES (?, ?, 'of the future', 0)"
    with closing(connect(first)) as connection:
        connection.execute(noted, (98, "pre"))
        async with SqliteStore(first) as store:
            await add(store, job())
        connection.execute(noted, (99, "post"))
    with pytest.raises(StoreDamaged, match="migrated for a newer Lamplighter alone: upgrade this one"):
        await SqliteStore(first).__aenter__()


# Stops for good before the statement of that number that contains the word.
STOP_AT = """
import sys
from pathlib import Path
from lamplighter.store.migrate import pending
from lamplighter.store.sqlite import connect
from lamplighter.store.sqlite.schema import STEPS, take

def stop(statement):
    if sys.argv[2] in statement:
        print("there")
        sys.stdin.readline()

connection = connect(Path(sys.argv[1]))
connection.set_trace_callback(stop)
while take(connection, lambda taken: pending(STEPS, taken, post=True)[:1], 10):
    pass
"""

PLACES = {
    "BEGIN IMMEDIATE": 1,
    "ALTER TABLE lamp_ended": 1,
    "UPDATE lamp_ended SET": 1,
    "INTO lamp_steps": 1,
    "INTO lamp_schema": 1,
    "COMMIT": 1,
    "DROP TRIGGER IF EXISTS lamp_ended": 2,
    "CREATE TABLE lamp_held": 3,
    "INSERT INTO lamp_lines": 4,
    "DROP INDEX IF EXISTS lamp_jobs_queued": 5,
}


@pytest.mark.parametrize(("word", "before"), PLACES.items(), ids=PLACES)
async def test_a_migration_that_was_killed_goes_on_where_it_was(
    first: Path, start: StartChild, word: str, before: int
) -> None:
    child = start(STOP_AT, first, word)
    assert child.stdout is not None
    assert child.stdout.readline() == "there\n"
    child.kill()
    child.wait()
    with closing(connect(first)) as connection:
        assert taken(connection) == list(STEPS[:before])
    columns = columns_of(first)
    rows = rows_of(first, columns)
    assert await migrate(SqliteSchema(first), post=True) == list(STEPS[before:])
    assert rows_of(first, columns).keys() == rows.keys()
    assert await SqliteSchema(first).taken() == list(STEPS)
    async with SqliteStore(first) as store:
        assert len(await store.page(EVERY, limit=MANY)) == len(rows["jobs"]) + len(rows["ended"])


MIGRATE = """
import asyncio, sys
from pathlib import Path
from lamplighter.store.migrate import migrate
from lamplighter.store.sqlite.schema import SqliteSchema

print("ready")
sys.stdin.readline()
for step in asyncio.run(migrate(SqliteSchema(Path(sys.argv[1])), post=True)):
    print(step.number)
"""


async def test_of_processes_that_migrate_at_once_one_takes_each_step(first: Path, start: StartChild) -> None:
    children = [start(MIGRATE, first) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    said = await asyncio.gather(*(asyncio.to_thread(child.communicate, "go\n") for child in children))
    assert sorted(line for out, _ in said for line in out.split()) == [str(step.number) for step in STEPS[1:]]
    assert [child.returncode for child in children] == [0] * 4


async def test_looking_makes_no_file(path: Path) -> None:
    assert await SqliteSchema(path).taken() == []
    assert not path.exists()


def test_a_step_is_taken_whole_or_not_at_all(first: Path) -> None:
    before = rows_of(first, columns_of(first)), shape(first)
    with closing(connect(first)) as connection:
        connection.execute("CREATE TRIGGER lamp_ended_of_older_workers AFTER INSERT ON lamp_ended BEGIN SELECT 1; END")
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            take(connection, lambda _: [STEPS[1]], 1)
        connection.execute("DROP TRIGGER lamp_ended_of_older_workers")
    assert (rows_of(first, columns_of(first)), shape(first)) == before
