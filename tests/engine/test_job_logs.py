"""What handlers log with `ctx.log` is kept with their job, whatever they run in, and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engine import process_jobs
from tests.engine.doubles import Unreliable
from tests.engine.waits import until_a_line

from lamplighter import App, Ctx, Secret, State
from lamplighter.core.config import Settings
from lamplighter.core.errors import StoreError
from lamplighter.core.log_line import LogLine, LogPlace
from lamplighter.engine.job_log import LONGEST, Log
from lamplighter.store.memory import MemoryStore

C = Ctx[None]
Said = list[tuple[str, str, dict[str, Any]]]


def said(lines: list[LogLine]) -> Said:
    return [(line.level, line.message, json.loads(line.fields)) for line in lines]


async def lines_of(app: App[Any], job: str) -> Said:
    return said(await app.store.logs(job, limit=1000))


async def test_what_a_handler_logs_on_the_loop_is_kept_with_its_job(app: App[None]) -> None:
    @app.job()
    async def index(ctx: C) -> None:
        ctx.log.debug("looking")
        ctx.log.info("indexed %d of %d", 3, 4, files=12)
        ctx.log.warning("slow")
        ctx.log.error("one is gone", name="a.txt")

    handle = await index.enqueue()
    await app.work(until_idle=True)
    assert await lines_of(app, handle.id) == [
        ("debug", "looking", {}),
        ("info", "indexed 3 of 4", {"files": 12}),
        ("warning", "slow", {}),
        ("error", "one is gone", {"name": "a.txt"}),
    ]


async def test_what_is_logged_in_threads_is_kept_too(app: App[None]) -> None:
    @app.job()
    def index(ctx: C) -> None:
        threads = [threading.Thread(target=ctx.log.info, args=("indexed",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    handle = await index.enqueue()
    await app.work(until_idle=True)
    lines = await app.store.logs(handle.id, limit=10)
    assert [line.place for line in lines] == [(1, n) for n in range(1, 5)]


async def test_lines_are_seen_while_the_job_runs(url: str) -> None:
    gate = asyncio.Event()
    async with App(url, settings=Settings(lease=process_jobs.SHORT)) as app:

        @app.job()
        async def index(ctx: C) -> None:
            ctx.log.info("begun")
            await gate.wait()
            ctx.log.info("ended")

        handle = await index.enqueue()
        async with app.worker():
            await until_a_line(app, handle.id)
            assert (await handle.view()).state is State.RUNNING
            gate.set()
            await handle.result(timeout=30)
        assert [message for _, message, _ in await lines_of(app, handle.id)] == ["begun", "ended"]


async def test_each_attempt_has_lines_of_its_own(app: App[None]) -> None:
    @app.job()
    async def index(ctx: C) -> None:
        ctx.log.info("attempt %d", ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError

    handle = await index.using(delay=0).enqueue()
    async with app.worker():
        await handle.result(timeout=60)
    lines = await app.store.logs(handle.id, limit=10)
    assert [(line.place, line.message) for line in lines] == [((1, 1), "attempt 1"), ((2, 1), "attempt 2")]


async def test_who_logs_a_great_deal_keeps_the_last_lines_and_no_more_in_memory() -> None:
    most = 0
    async with App("memory://", settings=Settings(keep_log_lines=50)) as app:

        @app.job()
        async def index(ctx: C) -> None:
            nonlocal most
            for number in range(20_000):
                ctx.log.debug("line %d", number)
            most = len(ctx.log.waiting())

        handle = await index.enqueue()
        await app.work(until_idle=True)
        lines = await app.store.logs(handle.id, limit=1000)
    assert (most, len(lines), lines[-1].message, lines[-1].n) == (50, 50, "line 19999", 20_000)


async def test_nothing_is_kept_where_no_lines_are_to_be() -> None:
    async with App("memory://", settings=Settings(keep_log_lines=0)) as app:

        @app.job()
        async def index(ctx: C) -> None:
            ctx.log.info("indexed")

        handle = await index.enqueue()
        await app.work(until_idle=True)
        assert await lines_of(app, handle.id) == []


async def test_lines_wait_while_the_store_is_away() -> None:
    store = Unreliable(MemoryStore())
    async with App(store.as_store, settings=Settings()) as app:

        @app.job()
        async def index(ctx: C) -> None:
            ctx.log.info("indexed")
            store.fail()

        handle = await index.enqueue()
        async with app.worker():
            await store.refused.wait()
            store.mend()
            await handle.result(timeout=30)
        assert await lines_of(app, handle.id) == [("info", "indexed", {})]


async def test_a_job_ends_well_though_its_lines_cannot_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    store = Unreliable(MemoryStore())
    store.fail(StoreError("no room for lines."), "log")
    async with App(store.as_store, settings=Settings()) as app:

        @app.job()
        async def index(ctx: C) -> str:
            ctx.log.info("indexed")
            return "well"

        handle = await index.enqueue()
        async with app.worker():
            assert await handle.result(timeout=30) == "well"
    assert "What jobs logged at their end is not kept: no room for lines." in caplog.text


@pytest.fixture
async def elsewhere(url: str) -> Any:
    """The app of `process_jobs` over a store of this test's own."""
    here = App(url, deps={"key": "value"}, settings=Settings(lease=process_jobs.SHORT))
    here._registry = process_jobs.app._registry
    async with here:
        yield here


async def test_what_is_logged_in_a_process_of_its_own_is_kept_too(elsewhere: App[Any]) -> None:
    [handle] = await elsewhere.enqueue([process_jobs.talk.draft(files=3)])
    await elsewhere.work(until_idle=True)
    assert await lines_of(elsewhere, handle.id) == [
        ("info", "indexed", {"files": 3}),
        ("error", "one of 3 is missing", {"error": "KeyError: 'lamp'"}),
    ]


async def test_the_last_words_of_a_process_that_is_killed_are_known(elsewhere: App[Any], tmp_path: Path) -> None:
    [handle] = await elsewhere.enqueue([process_jobs.talk_and_die.draft(when=str(tmp_path / "now"))])
    async with elsewhere.worker():
        await until_a_line(elsewhere, handle.id)
        (tmp_path / "now").touch()
        assert (await elsewhere.ended(handle.id, timeout=60)).state is State.FAILED
    assert await lines_of(elsewhere, handle.id) == [("info", "last words", {})]


def test_lines_go_to_the_log_of_the_process_as_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    Ctx(None).log.info("indexed %d", 3, files=12)
    [record] = caplog.records
    assert (record.name, record.getMessage(), record.levelname) == ("lamplighter.jobs", "indexed 3", "INFO")
    assert vars(record)["fields"] == {"files": 12}
    assert record.filename == "test_job_logs.py"


@dataclass
class Grant:
    user: str
    token: Secret


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError


def test_a_secret_is_none_in_a_line() -> None:
    log, token = Log(), Secret("hunter2")
    log.info("got %s", token, token=token, grants=[Grant("ada", token)], by_name={"ada": token})
    [line] = log.waiting()
    assert line.message == "got [REDACTED]"
    assert json.loads(line.fields) == {
        "token": "[REDACTED]",
        "grants": [{"user": "ada", "token": "[REDACTED]"}],
        "by_name": {"ada": "[REDACTED]"},
    }


def test_whatever_is_logged_is_fit_to_be_kept() -> None:
    log = Log()
    log.info("half \ud800 and \0", odd=Odd(), path=Path("/tmp"), key={(1, 2): 3}, half="\ud800")
    log.info("%d is none", "text")
    log.info("%s " * 1000, *["long"] * 1000, much="x" * 5000, little=1)
    log.info("many", **{f"field_{number}": "x" * 90 for number in range(100)})
    odd, wrong, long, many = log.waiting()
    assert odd.message == "half ? and \N{REPLACEMENT CHARACTER}"
    assert json.loads(odd.fields) == {"odd": "(Odd)", "path": repr(Path("/tmp")), "key": "{(1, 2): 3}", "half": "?"}
    assert wrong.message == "%d is none ('text',)"
    assert len(long.message.encode()) <= LONGEST
    assert long.message.endswith("…")
    assert json.loads(long.fields) == {"much": "x" * 100, "little": "1"}
    assert json.loads(many.fields) == {}


def test_lines_wait_until_they_were_told() -> None:
    log = Log()
    for number in range(3):
        log.info(str(number))
    log.told(2)
    assert [line.n for line in log.waiting()] == [3]
    log.told(2)
    assert [line.place for line in log.waiting()] == [LogPlace(0, 3)]
    log.told(3)
    assert not log.has_lines
