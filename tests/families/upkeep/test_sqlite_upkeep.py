"""Upkeep of SQLite files: room is given back, damage is found, and a backup is of one moment and restored once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.families.upkeep.finding import Finding, UpkeepError
from lamplighter.families.upkeep.ledger import Run
from lamplighter.families.upkeep.sqlite.verify import verified
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.upkeep import Upkeep, Which
from lamplighter.integrations.storage import migrate
from lamplighter.integrations.storage.database import Database
from lamplighter.testing import FakeClock

PARTS = 4000


class Kept:
    """Upkeep over one file with jobs in it."""

    def __init__(self, app: App[None], upkeep: Upkeep, path: Path) -> None:
        self.app = app
        self.upkeep = upkeep
        self.path = path

        @app.job()
        async def note(ctx: Ctx[None], text: str) -> None:
            """A job."""

        self.note = note

    async def found(self, task: str) -> Finding:
        [one] = [one for one in (await self.upkeep.report()).findings if one.task == task]
        return one

    async def keep(self, *tasks: str, seconds: float = 60) -> list[Run]:
        return await self.upkeep.run(Turn(seconds), asked_by="auth|5", which=Which(tasks))

    async def add(self, number: int) -> None:
        await self.app.enqueue(self.note.draft("x" * 500) for _ in range(number))

    def execute(self, *statements: str) -> list[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=10)) as connection:
            return [connection.execute(statement).fetchall() for statement in statements][-1]


@asynccontextmanager
async def running(path: Path, clock: FakeClock, **settings: Any) -> AsyncIterator[Kept]:
    found = Settings(store=f"sqlite:///{path}", **{"upkeep_least_mb": 0, "upkeep_bloat": 10, **settings})
    async with App(settings=found, clock=clock) as app, Database(found.store) as database:
        await migrate.upgrade(database)
        yield Kept(app, Upkeep(found, database, clock=clock), path)


@pytest.fixture
async def kept(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Kept]:
    async with running(tmp_path / "jobs.db", clock, backup_folder=tmp_path / "backups", backup_kept=2) as one:
        yield one


async def test_free_pages_go_back_to_the_disk_while_jobs_are_added(kept: Kept) -> None:
    await kept.add(PARTS)
    kept.execute("DELETE FROM lamp_jobs", "PRAGMA wal_checkpoint(TRUNCATE)")
    before = kept.path.stat().st_size
    assert (await kept.found("shrink")).is_due
    [run], _ = await asyncio.gather(kept.keep("shrink"), kept.add(50))
    assert run.outcome == "done"
    await kept.keep("checkpoint")
    kept.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert kept.path.stat().st_size < before / 2
    assert kept.execute("SELECT count(*) FROM lamp_jobs") == [(50,)]
    assert kept.execute("PRAGMA integrity_check") == [("ok",)]


async def test_a_file_that_others_made_is_told_how_to_be_shrunk(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    async with running(path, clock) as kept:
        await kept.add(500)
        kept.execute("DELETE FROM lamp_jobs")
        one = await kept.found("shrink")
        assert (one.is_due, one.is_held) == (False, True)
        assert "PRAGMA auto_vacuum = INCREMENTAL; VACUUM" in one.says


async def test_a_long_log_is_brought_into_the_file_and_emptied(kept: Kept) -> None:
    log = Path(f"{kept.path}-wal")
    with closing(sqlite3.connect(kept.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM lamp_jobs").fetchall()  # so that the log cannot begin anew
        await kept.add(PARTS)
        await kept.add(PARTS)
        assert (await kept.found("checkpoint")).is_due
        [run] = await kept.keep("checkpoint")
        assert run.outcome == "stopped", "somebody reads what the file held before"
    [run] = await kept.keep("checkpoint")
    assert run.outcome == "done"
    assert log.stat().st_size < 100_000, "what was noted of it came afterwards"


async def test_samples_are_taken_of_the_services_tables_alone_for_jobs_are_found_without(kept: Kept) -> None:
    await kept.add(PARTS)
    kept.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
        "INSERT INTO lamp_tenants (id, name, owner_id, archived, created_at) SELECT 't-' || i, 'T', 'o', 0, 0 FROM n"
    )
    assert (await kept.found("optimize")).says == "Samples are taken anew of lamp_tenants."
    await kept.keep("optimize")
    assert {name for (name,) in kept.execute("SELECT DISTINCT tbl FROM sqlite_stat1")} == {"lamp_tenants"}
    assert not (await kept.found("optimize")).is_due


async def test_a_damaged_file_is_told_of(kept: Kept) -> None:
    [run] = await kept.keep("check")
    assert run.outcome == "done"
    kept.execute(
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO lamp_health (integration_id, due_at) VALUES ('i-nobody', 0)",
    )
    [run] = await kept.keep("check")
    assert run.outcome == "failed"
    assert "rows that refer to what is not there, in lamp_health" in run.says


async def test_a_backup_is_of_one_moment_while_jobs_come_and_as_many_are_kept_as_the_settings_say(
    kept: Kept, clock: FakeClock, tmp_path: Path
) -> None:
    await kept.add(PARTS)
    for day in range(3):
        over = asyncio.Event()

        async def flood(over: asyncio.Event = over) -> None:
            while not over.is_set():
                await kept.add(10)

        flooding = asyncio.create_task(flood())
        try:
            [run] = await kept.keep("backup")
        finally:
            over.set()
            await flooding
        assert run.outcome == "done", run.says
        assert "jobs and tables of version" in run.says
        assert not (await kept.found("backup")).is_due
        clock.advance(timedelta(days=1))
        assert day == 2 or (await kept.found("backup")).is_due
    backups = sorted((tmp_path / "backups").iterdir())
    assert len(backups) == 2, "nothing else is left there either"
    assert {path.stat().st_mode & 0o777 for path in backups} == {0o600}
    assert (verified(backups[0]).jobs or 0) >= PARTS
    assert len(list((tmp_path / "backups").iterdir())) == 2


async def test_a_backup_that_is_not_what_it_says_is_refused(kept: Kept, tmp_path: Path) -> None:
    await kept.add(3)
    await kept.keep("backup")
    [backup] = (tmp_path / "backups").iterdir()
    with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
        connection.execute("UPDATE lamp_counts SET n = n + 1")
    with pytest.raises(UpkeepError, match="does not hold the jobs that it says"):
        verified(backup)
    backup.write_bytes(b"SQLite format 3\0" + b"?" * 5000)
    with pytest.raises(UpkeepError, match="is not good"):
        verified(backup)
    with pytest.raises(UpkeepError, match="cannot be restored"):
        verified(tmp_path / "nowhere.db")


async def test_a_backup_that_time_runs_out_for_leaves_nothing(kept: Kept, tmp_path: Path) -> None:
    await kept.add(PARTS)
    turn = Turn(60)
    stopping = asyncio.create_task(
        kept.upkeep.run(turn, asked_by="auth|5", which=Which(["backup"]), say=lambda _: turn.stop())
    )
    assert [run.outcome for run in await stopping] == ["stopped"]
    assert list((tmp_path / "backups").iterdir()) == []


async def test_memory_and_redis_have_nothing_to_be_done(
    tmp_path: Path, redis_prefix_url: str, clock: FakeClock
) -> None:
    tables = f"sqlite:///{tmp_path}/tables.db"
    for store, says in (("memory://", "ends with its process"), (redis_prefix_url, "keeps itself")):
        async with Database(tables) as database:
            await migrate.upgrade(database)
            report = await Upkeep(Settings(store=store, database=tables), database, clock=clock).report()
        assert not report.troubles
        [one] = [one for one in report.findings if one.database != database.url]
        assert says in one.says
        assert not one.is_due
