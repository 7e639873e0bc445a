"""Handlers on the loop and in threads: what they get, and what becomes of how they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.waits import until

from lamplighter import App, Ctx, JobFailed, State, never
from lamplighter.app import Job
from lamplighter.core.model import Failure, JobView

C = Ctx[None]
LOOP_OR_THREAD = pytest.mark.parametrize("kind", ["loop", "thread"])


class Odd(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text today")


def raising(app: App[None], kind: str, error: BaseException, **options: Any) -> Job[None, Any, Any]:
    """A job that raises."""

    async def on_loop(ctx: C) -> None:
        raise error

    def in_thread(ctx: C) -> None:
        raise error

    options.setdefault("retry", never)
    register: Callable[[Any], Job[None, Any, Any]] = app.job("raise", **options)
    return register(on_loop if kind == "loop" else in_thread)


async def ended(app: App[None], job: Job[None, Any, Any], *args: Any) -> tuple[JobView, list[Failure]]:
    handle = await job.enqueue(*args)
    await app.work(until_idle=True)
    return await handle.view(), await handle.failures()


async def test_a_result_comes_back_as_the_type_that_the_function_declares(app: App[None]) -> None:
    @app.job()
    async def on_loop(ctx: C, day: int) -> datetime:
        return datetime(2030, 1, day, tzinfo=UTC)

    @app.job()
    def in_thread(ctx: C, *, day: int) -> datetime:
        return datetime(2030, 1, day, tzinfo=UTC)

    async with app.worker():
        assert await (await on_loop.enqueue(2)).result(30) == datetime(2030, 1, 2, tzinfo=UTC)
        assert await (await in_thread.enqueue(day=3)).result(30) == datetime(2030, 1, 3, tzinfo=UTC)


@LOOP_OR_THREAD
async def test_an_exception_and_its_traceback_stay_with_the_job(app: App[None], kind: str) -> None:
    view, [failure] = await ended(app, raising(app, kind, KeyError("lamp")))
    assert (view.state, view.failures, view.reason) == (State.FAILED, 1, "'lamp'")
    assert (failure.kind, failure.error, failure.message) == ("error", "KeyError", "'lamp'")
    assert "test_handlers.py" in failure.traceback
    assert failure.traceback.endswith("KeyError: 'lamp'\n")


@LOOP_OR_THREAD
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1), GeneratorExit(), BaseException("base")], ids=repr
)
async def test_even_what_is_no_exception_is_a_failure_of_the_job_alone(
    app: App[None], kind: str, error: BaseException
) -> None:
    @app.job()
    async def well(ctx: C) -> str:
        return "well"

    view, [failure] = await ended(app, raising(app, kind, error))
    assert view.state is State.FAILED
    assert failure.kind == "error"
    async with app.worker():
        assert await (await well.enqueue()).result(30) == "well"


@LOOP_OR_THREAD
async def test_a_handler_that_cancels_itself_has_failed(app: App[None], kind: str) -> None:
    view, [failure] = await ended(app, raising(app, kind, asyncio.CancelledError("of my own")))
    assert (view.state, failure.error) == (State.FAILED, "CancelledError")


async def test_an_exception_that_cannot_be_shown_loses_no_outcome(app: App[None]) -> None:
    view, [failure] = await ended(app, raising(app, "loop", Odd()))
    assert (view.state, failure.error, failure.message) == (State.FAILED, "Odd", "(its message cannot be shown)")


@pytest.mark.parametrize(
    "text", ["nul \0 here", "surrogate \ud800 here", "x" * 100_000], ids=["nul", "surrogate", "long"]
)
@pytest.mark.parametrize("kind", ["Exception", "Discard", "Cancel", "Snooze", "Retry"])
async def test_whatever_the_text_of_an_exception_a_store_can_hold_it(app: App[None], kind: str, text: str) -> None:
    from lamplighter import Cancel, Discard, Retry, Snooze

    errors = {
        "Exception": Exception(text),
        "Discard": Discard(text),
        "Cancel": Cancel(text),
        "Snooze": Snooze(timedelta(hours=1), text),
        "Retry": Retry(text),
    }
    view, failures = await ended(app, raising(app, "loop", errors[kind]))
    assert view.state is {"Cancel": State.CANCELLED, "Snooze": State.SCHEDULED}.get(kind, State.FAILED)
    for told in [view.reason or "", *(failure.message + failure.traceback for failure in failures)]:
        assert len(told) <= 11_000
        assert "\0" not in told
        assert told.encode().decode() == told


@pytest.mark.parametrize("case", ["no json", "circular", "surrogate", "too large"])
async def test_a_result_that_cannot_be_kept_fails_the_job_at_once(app: App[None], case: str) -> None:
    circle: list[Any] = []
    circle.append(circle)
    results: dict[str, Any] = {
        "no json": object(),
        "circular": circle,
        "surrogate": "\ud800",
        "too large": "x" * 300_000,
    }

    @app.job()  # with the default policy, which would try again
    async def answer(ctx: C) -> Any:
        return results[case]

    view, [failure] = await ended(app, answer)
    assert (view.state, view.failures) == (State.FAILED, 1)
    assert failure.error == ("TooLarge" if case == "too large" else "BadArguments")


async def test_arguments_that_fit_no_longer_fail_at_once(app: App[None]) -> None:
    @app.job("greet")
    async def before(ctx: C, name: str) -> None: ...

    handle = await before.enqueue("Ada")
    later = App(app.store, settings=app.settings)

    @later.job("greet")
    async def after(ctx: C, name: int) -> None: ...

    await later.work(until_idle=True)
    [failure] = await handle.failures()
    assert (failure.error, (await handle.view()).state) == ("BadArguments", State.FAILED)
    with pytest.raises(JobFailed, match="is failed: job 'greet' cannot take"):
        await handle.result(30)


async def test_a_result_of_another_type_than_declared_is_a_clear_error(app: App[None]) -> None:
    from lamplighter import NoResult

    @app.job()
    async def count(ctx: C) -> int:
        return "many"  # type: ignore[return-value]

    async with app.worker():
        with pytest.raises(NoResult, match="'count' returned what its declared type does not fit"):
            await (await count.enqueue()).result(30)


async def test_a_handler_on_the_loop_is_cancelled_at_its_timeout(app: App[None]) -> None:
    ends = []

    @app.job(timeout=0.01, retry=never)
    async def endless(ctx: C) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(ctx.id)

    view, [failure] = await ended(app, endless)
    assert (view.state, failure.kind, failure.error) == (State.FAILED, "timeout", "HandlerTimeout")
    assert failure.message == "it ran for more than 0.01 s."
    assert ends == [view.id]


async def test_a_thread_goes_on_after_its_timeout_and_can_see_that_it_should_not(app: App[None]) -> None:
    contexts: list[C] = []
    go_on, gone_on = threading.Event(), threading.Event()

    @app.job(timeout=0.01, retry=never)
    def endless(ctx: C) -> str:
        contexts.append(ctx)
        go_on.wait(30)
        gone_on.set()
        return "too late"

    view, [failure] = await ended(app, endless)
    assert (view.state, failure.kind, contexts[0].stopping) == (State.FAILED, "timeout", True)
    go_on.set()
    assert await asyncio.to_thread(gone_on.wait, 30)


async def test_a_timeout_error_of_the_handlers_own_is_told_as_such(app: App[None]) -> None:
    view, [failure] = await ended(app, raising(app, "loop", TimeoutError("the bank did not answer"), timeout=60))
    assert (view.state, failure.error, failure.message) == (State.FAILED, "TimeoutError", "the bank did not answer")


async def test_a_handler_that_returns_in_spite_of_its_timeout_is_done(app: App[None]) -> None:
    @app.job(timeout=0.01)
    async def stubborn(ctx: C) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done all the same"
        raise AssertionError

    view, failures = await ended(app, stubborn)
    assert (view.state, view.result, failures) == (State.DONE, '"done all the same"', [])


@LOOP_OR_THREAD
async def test_a_context_tells_the_handler_what_it_works_for(url: str, kind: str) -> None:
    app = App(url, deps={"key": "value"})
    seen: list[Ctx[dict[str, str]]] = []

    async def on_loop(ctx: Ctx[dict[str, str]]) -> None:
        seen.append(ctx)

    def in_thread(ctx: Ctx[dict[str, str]]) -> None:
        seen.append(ctx)

    job: Any = app.job("look", queue="eyes", tenant="t-1")(on_loop if kind == "loop" else in_thread)  # type: ignore[type-var, unused-ignore]
    async with app:
        handle = await job.enqueue()
        await app.work(until_idle=True)
        view = await handle.view()
    [ctx] = seen
    assert (ctx.id, ctx.name, ctx.queue, ctx.tenant, ctx.attempt) == (handle.id, "look", "eyes", "t-1", 1)
    assert (ctx.run_at, ctx.deps, ctx.idempotency_key) == (view.run_at, {"key": "value"}, handle.id)
    assert ctx.stopping is False


@LOOP_OR_THREAD
async def test_progress_is_seen_while_a_job_runs(app: App[None], kind: str) -> None:
    told, go_on = threading.Event(), threading.Event()

    def in_thread(ctx: C) -> None:
        ctx.progress(1, of=3, note="reading")
        told.set()
        go_on.wait(30)

    async def on_loop(ctx: C) -> None:
        await asyncio.to_thread(in_thread, ctx)

    job: Any = app.job("read")(on_loop if kind == "loop" else in_thread)  # type: ignore[type-var, unused-ignore]
    async with app.worker(lease=timedelta(milliseconds=150)):
        handle = await job.enqueue()
        await asyncio.to_thread(told.wait, 30)
        view = await until(handle, lambda view: view.progress is not None)
        assert view.progress == '{"done":1,"of":3,"note":"reading"}'
        go_on.set()
        await handle.result(30)


@LOOP_OR_THREAD
async def test_a_running_job_schedules_its_successor_under_its_own_key(app: App[None], kind: str) -> None:
    runs = []

    async def on_loop(ctx: C) -> None:
        runs.append(ctx.id)
        if len(runs) < 3:
            assert (await job.enqueue()).created

    def in_thread(ctx: C) -> None:
        asyncio.run(on_loop(ctx))

    register: Any = app.job("again", unique=True, retry=never)
    job = register(on_loop if kind == "loop" else in_thread)
    await job.enqueue()
    await app.work(until_idle=True)
    assert len(set(runs)) == 3


async def test_jobs_that_run_at_once_know_their_own_parent_only(app: App[None]) -> None:
    both = asyncio.Barrier(2)

    @app.job(unique="lamp:{lamp}", retry=never)
    async def light(ctx: C, lamp: str) -> bool:
        await both.wait()
        created = (await light.enqueue("other" if lamp == "one" else "one")).created
        await both.wait()  # one that had ended by now would have let go of its key
        return created

    async with app.worker():
        handles = await app.enqueue([light.draft("one"), light.draft("other")])
        assert [await handle.result(30) for handle in handles] == [False, False]
