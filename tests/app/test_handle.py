"""Handles: results for however many wait, cancellation, and what is kept for how long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest

from lamplighter import App, Ctx, Event, JobCancelled, JobFailed, ResultTimeout, State, UnknownJob, never
from lamplighter.core.config import Settings
from lamplighter.core.model import Beat, Beaten, Keep
from lamplighter.testing import FakeClock

C = Ctx[None]
SHORT = timedelta(milliseconds=150)


async def test_many_wait_for_many_results_at_once(app: App[None]) -> None:
    @app.job()
    async def double(ctx: C, n: int) -> int:
        return 2 * n

    handles = await app.enqueue(double.draft(n) for n in range(600))
    waiting = [asyncio.create_task(handle.result(60)) for handle in handles for _ in range(2)]
    async with app.worker():
        assert await asyncio.gather(*waiting) == [2 * n for n in range(600) for _ in range(2)]
    assert app._results._watches == {}


async def test_waiters_in_two_event_loops_get_their_results(app: App[None]) -> None:
    @app.job()
    async def double(ctx: C, n: int) -> int:
        return 2 * n

    one, other = await app.enqueue([double.draft(1), double.draft(2)])
    found: list[int] = []
    elsewhere = threading.Thread(target=lambda: found.append(asyncio.run(other.result(60))))
    elsewhere.start()
    async with app.worker():
        assert await one.result(60) == 2
        await asyncio.to_thread(elsewhere.join)
    assert found == [4]


async def test_a_result_that_does_not_come_in_time_is_a_clear_error(app: App[None]) -> None:
    @app.job()
    async def light(ctx: C) -> None: ...

    handle = await light.enqueue()
    with pytest.raises(ResultTimeout, match=r"has not ended within 0.01 s: wait longer\."):
        await handle.result(0.01)
    assert (await handle.view()).state is State.QUEUED
    async with app.worker():
        await handle.result(30)


async def test_a_waiter_that_is_cancelled_disturbs_no_other(app: App[None]) -> None:
    @app.job()
    async def light(ctx: C) -> str:
        return "lit"

    handle = await light.enqueue()
    impatient, patient = asyncio.create_task(handle.result()), asyncio.create_task(handle.result(30))
    await asyncio.sleep(0)
    impatient.cancel()
    async with app.worker():
        assert await patient == "lit"
    assert impatient.cancelled()


async def test_failure_is_told_to_whoever_waits(app: App[None]) -> None:
    @app.job(retry=never)
    async def fail(ctx: C) -> None:
        raise ValueError("no oil")

    async with app.worker():
        handle = await fail.enqueue()
        with pytest.raises(JobFailed, match=rf"job {handle.id} \(fail\) is failed: no oil"):
            await handle.result(30)


async def test_a_waiting_job_is_cancelled_at_once_and_forgotten_in_time(timed: App[None], clock: FakeClock) -> None:
    @timed.job(keep_failed=timedelta(hours=1))
    async def light(ctx: C) -> None: ...

    handle = await light.using(delay=60).enqueue()
    assert await handle.cancel() is True
    assert await handle.cancel() is False
    with pytest.raises(JobCancelled, match="is cancelled: cancelled"):
        await handle.result(30)
    view = await handle.view()
    assert (view.state, view.keep_until) == (State.CANCELLED, clock() + timedelta(hours=1))
    clock.advance(3600)
    assert await timed.store.prune(Keep(), limit=10, now=clock()) == 1


async def test_a_running_job_is_asked_to_stop_and_says_when_it_has(app: App[None]) -> None:
    begun, events = asyncio.Event(), list[Event]()
    app.listen(events.append)

    @app.job()
    async def wait(ctx: C) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with app.worker(lease=SHORT):
        handle = await wait.enqueue()
        await begun.wait()
        assert await handle.cancel() is True
        with pytest.raises(JobCancelled, match="asked to stop"):
            await handle.result(30)
    assert [event.kind for event in events] == ["enqueued", "started", "cancelled"]
    assert await handle.failures() == []


async def test_a_job_that_is_done_before_it_hears_of_its_cancellation_is_done(
    app: App[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hear_nothing(beats: Sequence[Beat], **_: object) -> Beaten:
        return Beaten([], [])

    monkeypatch.setattr(app.store, "beat", hear_nothing)  # or a beat could come between the two

    @app.job()
    async def wait(ctx: C) -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with app.worker():
        handle = await wait.enqueue()
        await begun.wait()
        assert await handle.cancel() is True
        go_on.set()
        assert await handle.result(30) == "done"


async def test_a_job_that_is_asked_to_stop_and_fails_is_not_tried_again(app: App[None]) -> None:
    begun = asyncio.Event()

    @app.job()
    async def wait(ctx: C) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("while tidying up") from None

    async with app.worker(lease=SHORT):
        handle = await wait.enqueue()
        await begun.wait()
        await handle.cancel()
        with pytest.raises(JobCancelled):
            await handle.result(30)


async def test_a_job_that_is_not_kept_is_forgotten_at_once_and_its_result_is_a_clear_error(app: App[None]) -> None:
    done = asyncio.Event()
    app.listen(lambda event: done.set() if event.kind == "done" else None)

    @app.job(keep_done=timedelta())
    async def light(ctx: C) -> str:
        return "lit"

    async with app.worker():
        handle = await light.enqueue()
        await done.wait()
        with pytest.raises(UnknownJob, match=rf"job {handle.id} is not in the store: .* keep ended jobs for longer\."):
            await handle.result(30)
    assert sum(one.done for one in await app.store.stats()) == 0


async def test_jobs_are_kept_as_long_as_the_settings_say(url: str, clock: FakeClock) -> None:
    kept = Settings(keep_done=timedelta(hours=1), keep_failed=timedelta(hours=2))
    app = App(url, settings=kept, clock=clock)

    @app.job(retry=never)
    async def light(ctx: C, well: bool) -> None:
        if not well:
            raise ValueError

    async with app:
        done, failed = await app.enqueue([light.draft(True), light.draft(False)])
        await app.work(until_idle=True)
        assert (await done.view()).keep_until == clock() + timedelta(hours=1)
        assert (await failed.view()).keep_until == clock() + timedelta(hours=2)


async def test_a_result_that_is_there_needs_no_time(app: App[None]) -> None:
    @app.job()
    async def add(ctx: Ctx[None], one: int, other: int) -> int:
        return one + other

    handle = await add.enqueue(1, 2)
    with pytest.raises(ResultTimeout):
        await handle.result(timeout=0)
    await app.work(until_idle=True)
    assert await handle.result(timeout=0) == 3


async def test_a_job_is_waited_for_by_its_id(app: App[None]) -> None:
    @app.job()
    async def light(ctx: C) -> str:
        return "lit"

    handle = await light.enqueue()
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError):
            await app.ended(handle.id, timeout)
    async with app.worker():
        assert (await app.ended(handle.id, 60)).result == '"lit"'
    for timeout in (0, 60):
        with pytest.raises(UnknownJob):
            await app.ended("nobody", timeout)
