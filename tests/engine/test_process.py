"""Handlers in processes of their own: results, errors, limits, and how they are ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine import process_jobs
from tests.engine.waits import alive, until, until_true

from lamplighter import App, Handle, Job, State
from lamplighter.core.config import Settings
from lamplighter.core.model import Failure, JobView

Opened = App[dict[str, str]]


@pytest.fixture
async def app(url: str) -> Any:
    """The app of `process_jobs` over a store of this test's own."""
    here = App(url, deps={"key": "value"}, settings=Settings())
    here._registry = process_jobs.app._registry
    async with here:
        yield here


def of(app: Opened, job: Job[Any, Any, Any]) -> Job[Any, Any, Any]:
    return type(job)(app, job.function, job.definition, job.options)


async def ended(app: Opened, job: Job[Any, Any, Any], *args: Any, **kwargs: Any) -> tuple[JobView, list[Failure]]:
    handle = await of(app, job).enqueue(*args, **kwargs)
    await app.work(until_idle=True)
    return await handle.view(), await handle.failures()


@pytest.mark.parametrize("job", [process_jobs.day_in_process, process_jobs.day_in_process_on_loop], ids=repr)
async def test_a_process_returns_what_its_function_returns(app: Opened, job: Job[Any, Any, Any]) -> None:
    async with app.worker():
        assert await (await of(app, job).enqueue(day=2)).result(60) == datetime(2030, 1, 2, tzinfo=UTC)


async def test_a_process_knows_what_it_works_for_and_has_the_dependencies_of_its_app(app: Opened) -> None:
    async with app.worker():
        handle = await of(app, process_jobs.who).using(tenant="t-1", queue="q").enqueue()
        assert await handle.result(60) == {
            "id": handle.id,
            "name": "who",
            "queue": "q",
            "tenant": "t-1",
            "attempt": 1,
            "deps": {"key": "value"},
            "elsewhere": True,
        }


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("custom", "Custom", "code 7"),
        ("missing file", "FileNotFoundError", "[Errno 2] No such file: '/lamp'"),
        ("unpicklable", "HandlerError", "Unpicklable: cannot travel"),
        ("odd", "Odd", "(its message cannot be shown)"),
        ("local", "HandlerError", "raise_in_process.<locals>.local.<locals>.Local: of a local class"),
        ("exit", "SystemExit", "4"),
        ("stop iteration", "RuntimeError", "the function raised StopIteration."),
    ],
)
async def test_an_error_leaves_its_process_with_its_traceback(app: Opened, what: str, error: str, message: str) -> None:
    view, [failure] = await ended(app, process_jobs.raise_in_process, what)
    assert (view.state, failure.kind, failure.error, failure.message) == (State.FAILED, "error", error, message)
    if what != "stop iteration":
        assert "process_jobs.py" in failure.traceback


@pytest.mark.parametrize(
    ("what", "state", "reason"),
    [("snooze", State.SCHEDULED, None), ("cancel", State.CANCELLED, "not wanted"), ("retry", State.FAILED, "again")],
)
async def test_verdicts_leave_their_process(app: Opened, what: str, state: State, reason: str | None) -> None:
    view, _ = await ended(app, process_jobs.raise_in_process, what)
    assert (view.state, view.reason) == (state, reason)


async def test_a_process_can_say_when_to_retry(app: Opened) -> None:
    view, _ = await ended(app, process_jobs.retried_in_process)
    assert view.state is State.SCHEDULED
    assert view.run_at - view.created_at > timedelta(hours=2.9)


async def test_a_process_that_returns_what_json_cannot_carry_fails_at_once(app: Opened) -> None:
    view, [failure] = await ended(app, process_jobs.return_no_json)
    assert (view.state, failure.error) == (State.FAILED, "BadArguments")


async def test_a_process_killed_by_a_signal_is_a_crash_that_its_policy_judges(app: Opened) -> None:
    view, [failure] = await ended(app, process_jobs.kill_itself)
    assert (view.state, failure.kind, failure.error) == (State.FAILED, "crash", "Crashed")
    assert failure.message == "its process was killed by SIGKILL: look for a lack of memory."
    assert (view.failures, view.crashes) == (1, 0)


async def test_a_process_that_ends_without_an_answer_is_a_crash(app: Opened) -> None:
    view, [failure] = await ended(app, process_jobs.exit_at_once)
    assert (view.state, failure.kind) == (State.FAILED, "crash")
    assert failure.message == "its process ended without an answer (exit code 7): see what it printed."


async def test_a_process_cannot_take_more_memory_than_it_may(app: Opened) -> None:
    view, [failure] = await ended(app, process_jobs.take_memory)
    assert (view.state, failure.error) == (State.FAILED, "MemoryError")


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """Where `hold_on` writes the ids of its process and its child; whatever a test leaves of them is killed."""
    yield tmp_path / "pids"
    if (tmp_path / "pids").exists():
        for pid in (tmp_path / "pids").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), 9)


def gone(pids: Path) -> bool:
    return not any(alive(int(pid)) for pid in pids.read_text().split())


async def holding(app: Opened, pids: Path) -> Handle[Any]:
    handle = await of(app, process_jobs.hold_on).enqueue(str(pids.parent))
    await until_true(pids.exists)
    return handle


async def test_a_process_and_its_children_are_killed_at_the_timeout(app: Opened, pids: Path) -> None:
    registry = type(app._registry)()
    from msgspec.structs import replace

    registry.add(replace(process_jobs.hold_on.definition, timeout=3.0))
    app._registry = registry
    view, [failure] = await ended(app, process_jobs.hold_on, str(pids.parent))
    assert (view.state, failure.kind) == (State.FAILED, "timeout")
    await until_true(lambda: gone(pids))


async def test_a_cancelled_job_takes_its_process_and_the_children_of_that_with_it(app: Opened, pids: Path) -> None:
    async with app.worker(lease=timedelta(milliseconds=150)):
        handle = await holding(app, pids)
        view = await until(handle, lambda view: view.progress is not None)
        assert view.progress == '{"done":1,"of":2,"note":"holding"}'
        assert await handle.cancel()
        await until(handle, lambda view: view.state is State.CANCELLED)
        await until_true(lambda: gone(pids))


async def test_a_stopping_worker_kills_processes_that_outstay_their_grace(app: Opened, pids: Path) -> None:
    async with app.worker(grace=timedelta()):
        handle = await holding(app, pids)
    view = await handle.view()
    assert (view.state, view.failures, view.crashes) == (State.QUEUED, 0, 0)
    await until_true(lambda: gone(pids))


async def test_a_process_schedules_its_successor_under_its_own_key(sqlite: str) -> None:
    app: Opened = App(sqlite, deps={}, settings=Settings())
    app._registry = process_jobs.app._registry
    async with app:
        job = of(app, process_jobs.enqueue_itself)
        async with app.worker(concurrency=1) as worker:
            handle = await job.enqueue(sqlite)
            assert await handle.result(60) is True
            worker.stop()
            await asyncio.sleep(0)
