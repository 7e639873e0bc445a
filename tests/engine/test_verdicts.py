"""What a handler decides, and what its retry policy does: attempts, delays, crashes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from lamplighter import (
    App,
    Attempt,
    Cancel,
    ConfigError,
    Ctx,
    Discard,
    Handle,
    Retry,
    RetryPolicy,
    Snooze,
    State,
    exponential,
    fixed,
    linear,
    never,
)
from lamplighter.core.config import Settings
from lamplighter.core.model import Failure, JobView, Where
from lamplighter.testing import FakeClock

C = Ctx[None]


def raising(
    app: App[None], make: Callable[[C], BaseException], retry: RetryPolicy | None = None, *, max_crashes: int = 3
) -> Any:
    @app.job("raise", retry=retry, max_crashes=max_crashes)
    async def job(ctx: C) -> None:
        raise make(ctx)

    return job


async def attempted(app: App[None], job: Any) -> tuple[Handle[None], JobView, list[Failure]]:
    handle = await job.enqueue()
    await app.work(until_idle=True)
    return handle, await handle.view(), await handle.failures()


async def delays(app: App[None], clock: FakeClock, job: Any) -> list[float]:
    """How long the job waits before each attempt, until it has ended."""
    handle, view, _ = await attempted(app, job)
    waits = []
    while view.state is State.SCHEDULED:
        waits.append((view.run_at - clock()).total_seconds())
        clock.advance(view.run_at - clock())
        await app.work(until_idle=True)
        view = await handle.view()
    return waits


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (never, []),
        (fixed(7, attempts=4), [7, 7, 7]),
        (linear(10, attempts=4, cap=25), [10, 20, 25]),
        (exponential(5, factor=3, attempts=5, cap=100, jitter=False), [5, 15, 45, 100]),
        (fixed(60, attempts=100, max_age=150), [60, 60, 60]),
        (lambda attempt: timedelta(seconds=1) if attempt.failures < 3 else None, [1, 1]),
        (lambda attempt: timedelta(seconds=-5) if attempt.failures < 2 else None, [0]),
    ],
    ids=["never", "fixed", "linear", "exponential", "max age", "custom", "in the past"],
)
async def test_a_policy_says_when_to_try_again(
    timed: App[None], clock: FakeClock, policy: RetryPolicy, expected: list[float]
) -> None:
    job = raising(timed, lambda _: OSError("gone"), policy)
    if expected == [0]:  # due at once: it is not seen waiting
        _, view, failures = await attempted(timed, job)
        assert (view.state, len(failures)) == (State.FAILED, 2)
        return
    assert await delays(timed, clock, job) == expected


async def test_a_policy_sees_the_failures_the_age_and_the_error(timed: App[None], clock: FakeClock) -> None:
    seen: list[Attempt] = []

    def policy(attempt: Attempt) -> timedelta | None:
        seen.append(attempt)
        return timedelta(minutes=1) if attempt.failures < 2 else None

    error = OSError("gone")
    await delays(timed, clock, raising(timed, lambda _: error, policy))
    assert seen == [Attempt(1, timedelta(), error), Attempt(2, timedelta(minutes=1), error)]


def broken(_: Attempt) -> timedelta | None:
    raise ZeroDivisionError


@pytest.mark.parametrize("policy", [broken, lambda _: 5], ids=["raises", "answers with a number"])
async def test_a_policy_that_is_broken_fails_the_job(app: App[None], policy: Any) -> None:
    _, view, [failure] = await attempted(app, raising(app, lambda _: OSError("gone"), policy))
    assert view.state is State.FAILED
    assert failure.message == "gone"


async def test_a_policy_that_waits_beyond_the_calendar_waits_for_years(timed: App[None], clock: FakeClock) -> None:
    _, view, _ = await attempted(timed, raising(timed, lambda _: OSError(), lambda _: timedelta.max))
    assert view.state is State.SCHEDULED
    assert view.run_at > clock() + timedelta(days=3000)


async def test_retry_after_says_when_but_spends_an_attempt(timed: App[None], clock: FakeClock) -> None:
    job = raising(timed, lambda _: Retry("busy", after=timedelta(hours=1)), fixed(1, attempts=3))
    assert await delays(timed, clock, job) == [3600, 3600]


async def test_retry_without_a_time_leaves_it_to_the_policy(timed: App[None], clock: FakeClock) -> None:
    assert await delays(timed, clock, raising(timed, lambda _: Retry(), fixed(9, attempts=2))) == [9]


async def test_snooze_spends_no_attempt_however_often(timed: App[None], clock: FakeClock) -> None:
    attempts = []

    @timed.job(retry=never)
    async def wait(ctx: C) -> str:
        attempts.append(ctx.attempt)
        if len(attempts) < 20:
            raise Snooze(timedelta(minutes=5))
        return "now"

    handle = await wait.enqueue()
    for _ in range(20):
        await timed.work(until_idle=True)
        clock.advance(300)
    view = await handle.view()
    assert (view.state, view.failures, set(attempts)) == (State.DONE, 0, {1})
    assert await handle.failures() == []


@pytest.mark.parametrize("delay", ["1h", timedelta.min], ids=repr)
async def test_a_snooze_that_cannot_be_fails_the_job_instead_of_hanging_it(app: App[None], delay: Any) -> None:
    _, view, [failure] = await attempted(app, raising(app, lambda _: Snooze(delay)))
    assert (view.state, failure.error) == (State.FAILED, "TypeError" if delay == "1h" else "OverflowError")


async def test_cancel_ends_a_job_that_nobody_need_look_at(app: App[None]) -> None:
    _, view, failures = await attempted(app, raising(app, lambda _: Cancel("the tenant left")))
    assert (view.state, view.reason, view.failures, failures) == (State.CANCELLED, "the tenant left", 0, [])


async def test_discard_fails_at_once_whatever_attempts_are_left(app: App[None]) -> None:
    _, view, [failure] = await attempted(app, raising(app, lambda _: Discard("no such file"), fixed(0, attempts=9)))
    assert (view.state, view.reason, failure.error) == (State.FAILED, "no such file", "Discard")


async def test_attempts_count_from_one_and_failures_are_kept_oldest_first(app: App[None]) -> None:
    job = raising(app, lambda ctx: ValueError(f"attempt {ctx.attempt}"), fixed(0, attempts=3))
    _, view, failures = await attempted(app, job)
    assert [failure.message for failure in failures] == ["attempt 1", "attempt 2", "attempt 3"]
    assert (view.failures, view.crashes, view.reason) == (3, 0, "attempt 3")


async def lose(app: App[None], clock: FakeClock, times: int) -> None:
    """Claim the one job as a worker that vanishes, so often."""
    for _ in range(times):
        [_] = await app.store.claim([], 1, worker="vanishing", lease=timedelta(seconds=1), now=clock())
        clock.advance(1)
        assert len((await app.store.sweep(10, now=clock())).rescued) == 1


async def test_a_crash_is_an_attempt_but_no_failure_for_the_policy(timed: App[None], clock: FakeClock) -> None:
    seen = []

    def policy(attempt: Attempt) -> None:
        seen.append(attempt.failures)

    job = raising(timed, lambda ctx: ValueError(f"attempt {ctx.attempt}"), policy, max_crashes=4)
    handle = await job.enqueue()
    await lose(timed, clock, 3)
    await timed.work(until_idle=True)
    view, failures = await handle.view(), await handle.failures()
    assert (view.failures, view.crashes, seen) == (1, 3, [1])
    assert [failure.kind for failure in failures] == ["crash", "crash", "crash", "error"]
    assert failures[-1].message == "attempt 4"


@pytest.mark.parametrize(("given", "most", "told"), [({}, 3, "3 times"), ({"max_crashes": 1}, 1, "once")], ids=str)
async def test_a_job_that_took_too_many_workers_down_has_failed(
    timed: App[None], clock: FakeClock, given: dict[str, int], most: int, told: str
) -> None:
    ran = []

    @timed.job(**given)  # type: ignore[arg-type]  # a dict of keywords may hold any of them
    async def poison(ctx: C) -> None:
        ran.append(ctx.id)

    handle = await poison.enqueue()
    await lose(timed, clock, most - 1)
    await timed.work(until_idle=True)
    assert (await handle.view()).state is State.DONE  # so often may be bad luck

    handle = await poison.enqueue()
    await lose(timed, clock, most)
    await timed.work(until_idle=True)
    view, failures = await handle.view(), await handle.failures()
    assert (view.state, len(ran)) == (State.FAILED, 1)
    assert view.reason == f"its worker vanished {told} while it ran: find out why, then retry it."
    assert [(failure.kind, failure.error) for failure in failures] == [
        *[("crash", "WorkerLost")] * most,
        ("crash", "Crashed"),
    ]


async def test_a_poison_job_that_is_retried_has_a_clean_slate(timed: App[None], clock: FakeClock) -> None:
    @timed.job()
    async def mended(ctx: C) -> int:
        return ctx.attempt

    handle = await mended.enqueue()
    await lose(timed, clock, 3)
    await timed.work(until_idle=True)
    assert (await handle.view()).state is State.FAILED
    await timed.store.retry(Where(ids=(handle.id,)), limit=1, now=clock())
    await timed.work(until_idle=True)
    assert await handle.result(0) == 1


@pytest.mark.parametrize("most", [0, -1, 1001, 2.5, True, None], ids=repr)
def test_a_bound_on_crashes_that_cannot_be_is_refused(most: Any) -> None:
    app = App("memory://", settings=Settings())
    with pytest.raises(ConfigError, match=r"max_crashes=.* is not a whole number from 1 to 1,000: change it\."):
        app.job(max_crashes=most)


async def stray(app: App[None], clock: FakeClock, **options: Any) -> Handle[None]:
    """A job that only another app knows."""
    other = App(app.store, settings=app.settings, clock=clock)

    @other.job("elsewhere", **options)
    async def elsewhere(ctx: C) -> None: ...

    async with other:
        return await elsewhere.enqueue()


async def test_a_job_that_this_app_does_not_know_waits_a_day_for_one_that_does(
    timed: App[None], clock: FakeClock
) -> None:
    handle = await stray(timed, clock)
    async with timed.worker() as worker:
        await timed.until_idle(worker)
        view = await handle.view()
        assert (view.state, (view.run_at - clock()).total_seconds()) == (State.SCHEDULED, 30)
        for _ in range(96):
            assert (await handle.view()).state is State.SCHEDULED
            clock.advance(900)
            await timed.until_idle(worker)
        for _ in range(10):  # as often as it would have been tried within that day
            clock.advance(900)
            await timed.until_idle(worker)
    view = await handle.view()
    assert (view.state, view.failures) == (State.FAILED, 1)
    assert view.reason == "this worker's app has no job 'elsewhere': register it, or cancel the job."


async def test_a_job_that_was_scheduled_days_ago_survives_meeting_an_older_worker(
    timed: App[None], clock: FakeClock
) -> None:
    handle = await stray(timed, clock, delay=timedelta(days=3))
    clock.advance(timedelta(days=3))
    await timed.work(until_idle=True)
    assert (await handle.view()).state is State.SCHEDULED
