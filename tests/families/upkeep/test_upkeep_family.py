"""The upkeep family: in its window, or asked for, what is due is done, noted and measured."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.core.errors import JobFailed
from lamplighter.families.tokens import TokenFamily
from lamplighter.families.upkeep import UpkeepFamily
from lamplighter.families.upkeep.finding import Finding, Size, UpkeepError
from lamplighter.families.upkeep.ledger import Ledger
from lamplighter.families.upkeep.turn import Turn
from lamplighter.families.upkeep.upkeep import Which
from lamplighter.testing import FakeClock

NIGHT = datetime(2026, 11, 26, 2, 30, tzinfo=UTC)


@asynccontextmanager
async def running(folder: Path, clock: FakeClock, **settings: Any) -> AsyncIterator[tuple[App[None], UpkeepFamily]]:
    found = Settings(store=f"sqlite:///{folder}/jobs.db", backup_folder=folder / "backups", **settings)
    app = App(settings=found, clock=clock)
    family = UpkeepFamily(app, TokenFamily(app))
    async with app:
        yield app, family


async def test_in_its_window_it_does_what_is_due_and_not_again_in_the_same_night(
    tmp_path: Path,
) -> None:
    clock = FakeClock(NIGHT)
    async with running(tmp_path, clock, upkeep_window="02:00-05:00") as (app, family):
        assert "upkeep.tend" in {one.name for one in app.schedules}
        for counts in ({"done": 2, "stopped": 0, "failed": 0}, {"done": 0, "stopped": 0, "failed": 0}):
            handle = await family.tend.enqueue()
            await app.work(until_idle=True)
            assert await handle.result() == counts
        runs = await family.upkeep.ledger.page()
        assert [(run.task, run.outcome, run.asked_by) for run in runs] == [
            ("backup", "done", "window"),
            ("check", "done", "window"),
        ]
        clock.advance(timedelta(days=1))
        handle = await family.tend.enqueue()
        await app.work(until_idle=True)
        assert await handle.result() == {"done": 1, "stopped": 0, "failed": 0}, "a week passes between two checks"


async def test_outside_of_its_window_it_does_nothing_unless_asked(tmp_path: Path) -> None:
    clock = FakeClock(NIGHT + timedelta(hours=12))
    async with running(tmp_path, clock, upkeep_window="02:00-05:00") as (app, family):
        handle = await family.tend.enqueue()
        asked = await family.ask(by="auth|5", tasks=["check"])
        await app.work(until_idle=True)
        assert await handle.result() == {}
        assert await asked.result() == {"done": 1, "stopped": 0, "failed": 0}
        assert [run.asked_by for run in await family.upkeep.ledger.page()] == ["auth|5"]


async def test_what_fails_is_a_dead_job_and_not_tried_again_in_the_same_night(tmp_path: Path) -> None:
    clock = FakeClock(NIGHT)
    async with running(tmp_path, clock, upkeep_window="02:00-05:00") as (app, family):
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            connection.execute("INSERT INTO lamp_health (integration_id, due_at) VALUES ('i-nobody', 0)")
        handle = await family.tend.enqueue()
        await app.work(until_idle=True)
        with pytest.raises(JobFailed, match=r"2 of 2 failed, check of jobs\.db"):
            await handle.result()
        again = await family.tend.enqueue()
        await app.work(until_idle=True)
        assert await again.result() == {"done": 0, "stopped": 0, "failed": 0}
        held = [one for one in (await family.upkeep.report()).findings if one.is_held]
        assert [one.task for one in held] == ["check", "backup"]
        assert "in lamp_health: restore the last backup" in held[0].says


async def test_without_a_window_nothing_is_done_by_itself(tmp_path: Path, clock: FakeClock) -> None:
    async with running(tmp_path, clock) as (app, _):
        assert {one.name for one in app.schedules} >= {"upkeep.forget", "upkeep.measure"}
        assert "upkeep.tend" not in {one.name for one in app.schedules}


async def test_a_task_that_there_is_not_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    async with running(tmp_path, clock) as (_, family):
        with pytest.raises(UpkeepError, match="no task 'polish'"):
            await family.upkeep.run(Turn(1), asked_by="auth|5", which=Which(["polish"]))


async def test_sizes_are_measured_and_growth_is_told_by_days(tmp_path: Path, clock: FakeClock) -> None:
    async with running(tmp_path, clock) as (app, family):
        ledger = family.upkeep.ledger
        for size in (100, 300):
            await ledger.note([Size("db", "jobs", "table", size), Size("db", "jobs_pkey", "index", 50)])
            clock.advance(timedelta(days=8))
        await family.measure.enqueue()
        await app.work(until_idle=True)
        growth = {one.name: one for one in await ledger.growth()}
        assert growth["jobs.db"].bytes == (tmp_path / "jobs.db").stat().st_size
        assert growth["jobs"].bytes == 300
        assert growth["jobs"].before == {"1": 300, "7": 300}
        chart = await ledger.chart(most=2)
        assert len(chart.at) >= 1
        assert all(len(line.bytes) == len(chart.at) for line in chart.lines)


async def test_what_is_old_is_forgotten_of_runs_and_sizes(tmp_path: Path, clock: FakeClock) -> None:
    async with running(tmp_path, clock) as (app, family):
        ledger: Ledger = family.upkeep.ledger
        await ledger.note([Size("db", "jobs", "table", 1)])
        old = Finding(task="check", database="db", subject="jobs", is_due=True, says="")
        await ledger.end(await ledger.begin(old, asked_by="auth|5"), "done", "", None)
        clock.advance(app.settings.keep_history + timedelta(days=1))
        await ledger.note([Size("db", "jobs", "table", 2)])
        await family.measure.enqueue()
        await app.work(until_idle=True)
        assert await ledger.page() == []
        assert {one.bytes for one in await ledger.growth() if one.name == "jobs"} == {2}
