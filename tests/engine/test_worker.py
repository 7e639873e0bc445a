"""A worker's life: it drains when it stops, keeps its leases, and tells that it is there."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.doubles import Unreliable
from tests.engine.waits import until, until_counts, until_record

from lamplighter import App, Ctx, Event, State, StoreDamaged, fixed, never
from lamplighter.core.config import Settings
from lamplighter.core.errors import UnknownWorker
from lamplighter.core.model import Outcome
from lamplighter.engine.drain import ask_to_drain
from lamplighter.engine.worker import Worker
from lamplighter.store.open import open_store

C = Ctx[None]
SHORT = timedelta(milliseconds=150)
LONG = timedelta(seconds=60)


class Gate:
    """A job that says when it has begun, and goes on when it may."""

    def __init__(self, app: App[None], **options: Any) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.attempts: list[int] = []
        self.cancelled = 0

        @app.job("gate", **options)
        async def gate(ctx: C) -> int:
            self.attempts.append(ctx.attempt)
            self.begun.set()
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return ctx.attempt

        self.job = gate


async def test_a_stopping_worker_lets_running_jobs_end_and_claims_no_more(app: App[None]) -> None:
    gate = Gate(app)
    async with app.worker(concurrency=1, grace=LONG) as worker:
        running, waiting = await app.enqueue([gate.job.draft(), gate.job.draft()])
        await gate.begun.wait()
        worker.stop()
        gate.go_on.set()
    assert (await running.view()).state is State.DONE
    assert (await waiting.view()).state is State.QUEUED


async def test_a_stopping_worker_hands_its_jobs_back_without_spending_an_attempt(app: App[None]) -> None:
    gate = Gate(app, retry=never)
    async with app.worker(grace=timedelta()):
        handle = await gate.job.enqueue()
        await gate.begun.wait()
    view = await handle.view()
    assert (view.state, view.failures, view.crashes, view.worker) == (State.QUEUED, 0, 0, None)
    assert gate.cancelled == 1
    gate.go_on.set()
    async with app.worker():
        assert await handle.result(30) == 1


async def test_a_thread_that_outstays_its_grace_is_handed_back_too(app: App[None]) -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    contexts = []

    @app.job()
    def hang(ctx: C) -> None:
        contexts.append(ctx)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(30)

    async with app.worker(grace=timedelta()):
        handle = await hang.enqueue()
        await begun.wait()
    assert ((await handle.view()).state, contexts[0].stopping) == (State.QUEUED, True)
    go_on.set()


async def test_a_handler_that_will_not_stop_does_not_keep_its_worker_from_ending(
    app: App[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamplighter.engine.worker.LAST_WORDS", 0.01)
    begun, go_on = asyncio.Event(), asyncio.Event()
    tasks = []

    @app.job()
    async def stubborn(ctx: C) -> None:
        tasks.append(asyncio.current_task())
        begun.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    async with app.worker(grace=timedelta()):
        handle = await stubborn.enqueue()
        await begun.wait()
    assert (await handle.view()).state is State.RUNNING  # left to its lease
    go_on.set()
    await asyncio.wait([task for task in tasks if task is not None])


async def test_a_worker_left_by_an_exception_drains_too(app: App[None]) -> None:
    gate = Gate(app)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - it is about how the block ends
        async with app.worker(grace=timedelta()):
            handle = await gate.job.enqueue()
            await gate.begun.wait()
            raise ZeroDivisionError
    assert (await handle.view()).state is State.QUEUED


async def working(app: App[None], begun: asyncio.Event, workers: list[Worker]) -> None:
    async with app.worker(grace=LONG) as worker:
        workers.append(worker)
        await begun.wait()
        await worker.stopped()


async def test_a_cancelled_worker_still_gives_its_jobs_their_grace(app: App[None]) -> None:
    gate, workers = Gate(app), list[Worker]()
    handle = await gate.job.enqueue()
    task = asyncio.create_task(working(app, gate.begun, workers))
    await gate.begun.wait()
    task.cancel()
    await workers[0].stopped()
    gate.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await handle.view()).state is State.DONE


async def test_a_worker_cancelled_while_it_drains_hands_its_jobs_back_at_once(app: App[None]) -> None:
    gate, workers = Gate(app), list[Worker]()
    handle = await gate.job.enqueue()
    task = asyncio.create_task(working(app, gate.begun, workers))
    await gate.begun.wait()
    task.cancel()
    await workers[0].stopped()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ((await handle.view()).state, gate.cancelled) == (State.QUEUED, 1)
    assert await app.store.records("worker", now=app._clock()) == []
    assert "lamplighter-leases" not in {thread.name for thread in threading.enumerate()}


async def test_a_job_claimed_while_the_worker_stops_is_not_lost(app: App[None]) -> None:
    gate = Gate(app)
    handle = await gate.job.enqueue()
    async with app.worker(grace=timedelta()):
        pass  # it stops before its first claim has come back
    assert (await handle.view()).state is State.QUEUED
    gate.go_on.set()
    await app.work(until_idle=True)
    assert (await handle.view()).state is State.DONE


async def test_a_worker_tells_that_it_is_there_while_it_is(app: App[None]) -> None:
    gate = Gate(app)
    async with app.worker(lease=SHORT, concurrency=7, queues=["default"]) as worker:
        await gate.job.enqueue()
        await gate.begun.wait()
        record = await until_record(app, "worker", '"running":1')
        assert record.name == worker.name
        assert '"concurrency":7' in record.value
        assert '"queues":["default"]' in record.value
        gate.go_on.set()
    assert await app.store.records("worker", now=app._clock()) == []


async def test_a_handler_that_blocks_the_loop_past_its_lease_keeps_it(sqlite: str) -> None:
    app = App(sqlite, settings=Settings())
    attempts: list[int] = []

    @app.job(retry=never)
    async def block(ctx: C) -> int:
        attempts.append(ctx.attempt)
        time.sleep(4 * SHORT.total_seconds())  # noqa: ASYNC251 - what must not be done is what is tested
        return len(attempts)

    async def work_beside() -> None:
        async with App(sqlite, settings=Settings()) as beside, beside.worker(lease=SHORT, queues=["default"]) as worker:
            started.set()
            await asyncio.to_thread(stop.wait, 30)
            worker.stop()

    started, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(work_beside()))
    async with app:
        async with app.worker(lease=SHORT):
            handle = await block.enqueue()
            thread.start()  # another worker, which would rescue the job if it could
            await asyncio.to_thread(started.wait, 30)
            assert await handle.result(30) == 1
        stop.set()
        await asyncio.to_thread(thread.join)
        view = await handle.view()
    assert (view.crashes, view.fence, attempts) == (0, 1, [1])


async def test_a_worker_that_lost_its_lease_is_told_and_its_outcome_refused(app: App[None]) -> None:
    gate, events = Gate(app), list[Event]()
    app.listen(events.append)
    async with app.worker(concurrency=1, lease=SHORT):
        handle = await gate.job.enqueue()
        await gate.begun.wait()
        gate.begun.clear()
        await take_away(app)
        await gate.begun.wait()  # the same worker got it again
        gate.go_on.set()
        assert await handle.result(30) == 2
    assert gate.cancelled == 1
    assert (await handle.view()).crashes == 1
    kinds = Counter(event.kind for event in events)
    assert kinds == {"enqueued": 1, "started": 2, "lost": 1, "done": 1}


async def take_away(app: App[None]) -> None:
    """Rescue the one running job, as if its lease had run out."""
    swept = await app.store.sweep(1, now=app._clock() + timedelta(hours=1))
    assert len(swept.rescued) == 1


async def test_an_attempt_that_will_not_end_takes_no_successor_with_it(app: App[None]) -> None:
    begun, free, go_on = asyncio.Queue[int](), asyncio.Event(), asyncio.Event()
    cancelled: list[int] = []

    @app.job()
    async def stubborn(ctx: C) -> int:
        begun.put_nowait(ctx.attempt)
        while not (free if ctx.attempt == 1 else go_on).is_set():
            try:
                await (free if ctx.attempt == 1 else go_on).wait()
            except asyncio.CancelledError:
                cancelled.append(ctx.attempt)
        return ctx.attempt

    async with app.worker(concurrency=2, lease=SHORT):
        handle = await stubborn.enqueue()
        assert await begun.get() == 1
        await take_away(app)
        assert await begun.get() == 2
        beats = 0
        before = (await handle.view()).lease_until
        while beats < 4:  # of the second attempt, beside the first, which is lost but goes on
            lease = (await handle.view()).lease_until
            beats += lease != before
            before = lease
            await asyncio.sleep(0.01)
        go_on.set()
        assert await handle.result(30) == 2
        free.set()
    assert set(cancelled) <= {1}


async def test_outcomes_of_a_lost_attempt_change_nothing(app: App[None]) -> None:
    gate = Gate(app)
    handle = await gate.job.enqueue()
    [claimed] = await app.store.claim([], 1, worker="slow", lease=SHORT, now=app._clock())
    await take_away(app)
    gate.go_on.set()
    await app.work(until_idle=True)
    late = Outcome(id=claimed.id, fence=claimed.fence, verb="done", result='"late"')
    assert await app.store.finish([late], now=app._clock()) == []
    assert (await handle.view()).result == "2"


async def test_a_timeout_that_is_not_heeded_lets_another_worker_take_over(app: App[None]) -> None:
    attempts, free = list[int](), asyncio.Event()
    all_gone = asyncio.Event()

    @app.job(timeout=0.01, retry=fixed(0, attempts=2))
    async def stubborn(ctx: C) -> int:
        attempts.append(ctx.attempt)
        while ctx.attempt == 1 and not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        if ctx.attempt == 1:
            all_gone.set()
        return ctx.attempt

    async with app.worker(lease=SHORT):
        handle = await stubborn.enqueue()
        assert await handle.result(30) == 2
        free.set()
        await all_gone.wait()
    assert (await handle.view()).crashes == 1


async def test_a_damaged_store_ends_the_worker_with_that_error(sqlite: str) -> None:
    store = Unreliable(open_store(sqlite))
    app = App(store.as_store, settings=Settings())
    gate = Gate(app)
    async with app:
        with pytest.raises(StoreDamaged, match="restore it"):  # noqa: PT012 - it is raised as the block ends
            async with app.worker(grace=timedelta()) as worker:
                handle = await gate.job.enqueue()
                await gate.begun.wait()
                store.fail(StoreDamaged("The store is corrupt: restore it."))
                await worker.stopped()
        store.mend()
        assert gate.cancelled == 1
        assert "lamplighter-leases" not in {thread.name for thread in threading.enumerate()}
        assert (await handle.view()).state is State.RUNNING


@pytest.mark.parametrize("operation", ["claim", "finish", "sweep", "wake"])
async def test_a_worker_ends_whichever_of_its_loops_finds_the_damage(sqlite: str, operation: str) -> None:
    store = Unreliable(open_store(sqlite))
    app = App(store.as_store, settings=Settings())

    @app.job()
    async def well(ctx: C) -> None: ...

    async with app:
        with pytest.raises(StoreDamaged, match="restore it"):  # noqa: PT012 - it is raised as the block ends
            async with app.worker(grace=timedelta()) as worker:
                store.fail(StoreDamaged("The store is corrupt: restore it."), operation)
                await app.enqueue(well.draft() for _ in range(3))
                await worker.stopped()
        store.mend()


async def test_a_full_worker_claims_as_slots_come_free(app: App[None]) -> None:
    running, most = 0, 0

    @app.job()
    async def count(ctx: C) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await app.enqueue(count.draft() for _ in range(500))
    async with app.worker(concurrency=20):
        await until_counts(app, done=500)
    assert most <= 20


async def test_a_worker_takes_only_from_its_queues(app: App[None]) -> None:
    gate = Gate(app)
    gate.go_on.set()
    async with app.worker(queues=["mine"]):
        mine = await gate.job.using(queue="mine").enqueue()
        other = await gate.job.using(queue="other").enqueue()
        await mine.result(30)
        await until(mine, lambda view: view.state is State.DONE)
    assert (await other.view()).state is State.QUEUED


async def test_a_drained_worker_lets_running_jobs_end_claims_no_more_and_ends(app: App[None]) -> None:
    gate = Gate(app)
    async with app.worker(concurrency=1, grace=LONG, lease=SHORT) as worker:
        running, waiting = await app.enqueue([gate.job.draft(), gate.job.draft()])
        await gate.begun.wait()
        await until_record(app, "worker", running.id)
        await app.drain(worker.name)
        await worker.stopped()
        gate.go_on.set()
    assert (await running.view()).state is State.DONE
    assert (await waiting.view()).state is State.QUEUED
    assert await app.store.records("drain", now=app.clock()) == []


async def test_a_drain_is_heard_by_the_worker_that_is_meant(app: App[None]) -> None:
    async with app.worker(lease=SHORT) as one, app.worker(lease=SHORT) as other:
        await until_record(app, "worker", '"running":0')
        await ask_to_drain(app.store, one.name, now=app.clock())
        await one.stopped()
        assert not other.is_stopping


async def test_only_a_worker_that_is_alive_can_be_drained(app: App[None]) -> None:
    with pytest.raises(UnknownWorker, match="list workers to find their names"):
        await app.drain("nobody")
