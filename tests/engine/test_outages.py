"""The store goes away for a while: workers wait, come back, and lose nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.doubles import AWAY, Unreliable
from tests.engine.waits import until, until_counts, until_record, until_true

from lamplighter import App, Ctx, State, StoreUnavailable
from lamplighter.core.config import Settings
from lamplighter.core.model import Where
from lamplighter.engine.patience import until_available
from lamplighter.store.open import open_store

C = Ctx[None]
SHORT = timedelta(milliseconds=150)


@pytest.fixture
def store(url: str) -> Unreliable:
    return Unreliable(open_store(url))


@pytest.fixture
async def app(store: Unreliable) -> AsyncIterator[App[None]]:
    async with App(store.as_store, settings=Settings()) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Come back soon: how long the pauses may grow is not what is tested."""
    monkeypatch.setattr("lamplighter.engine.patience.LONGEST_PAUSE", 0.1)


async def test_jobs_that_ended_while_the_store_was_away_are_recorded_when_it_is_back(
    app: App[None], store: Unreliable, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []

    @app.job()
    async def record(ctx: C, n: int) -> None:
        if n == 0:
            store.fail()
        ran.append(n)

    with caplog.at_level(logging.WARNING, "lamplighter.worker"):
        async with app.worker():
            await app.enqueue(record.draft(n) for n in range(50))
            await store.refused.wait()
            await until_true(lambda: store.calls["finish"] >= 3)  # it is tried again
            store.mend()
            await until_counts(app, done=50, running=0, queued=0)
    assert sorted(ran) == list(range(50))  # each once
    told = [record.message for record in caplog.records if "record finished jobs" in record.message]
    assert ["Cannot" in text for text in told] == [True, False]  # said once, and once that it is over


async def test_a_worker_that_starts_while_the_store_is_away_waits_for_it(app: App[None], store: Unreliable) -> None:
    @app.job()
    async def well(ctx: C) -> str:
        return "well"

    handle = await well.enqueue()
    store.fail()
    async with app.worker():
        await store.refused.wait()
        store.mend()
        assert await handle.result(30) == "well"


async def test_a_worker_does_not_spin_while_the_store_is_away(
    app: App[None], store: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    nap = asyncio.sleep

    async def note(seconds: float) -> None:
        naps.append(seconds)
        await nap(0)

    monkeypatch.setattr("lamplighter.engine.patience.LONGEST_PAUSE", 5.0)
    monkeypatch.setattr("lamplighter.engine.patience.asyncio.sleep", note)
    store.fail()
    waiting = asyncio.create_task(until_available(app.store.stats, "look"))
    while len(naps) < 20:
        await nap(0)
    store.mend()
    await waiting
    assert all(nap >= 0.025 for nap in naps)
    assert all(nap >= 2.5 for nap in naps[8:])
    assert max(naps) <= 5


async def test_leases_are_renewed_again_and_progress_is_not_lost(app: App[None], store: Unreliable) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.job()
    async def tell(ctx: C) -> None:
        if ctx.attempt == 1:  # on a busy machine its lease may run out meanwhile
            store.fail(AWAY, "beat")
        ctx.progress(1, of=2)
        begun.set()
        await go_on.wait()

    async with app.worker(lease=timedelta(seconds=1)):
        handle = await tell.enqueue()
        await begun.wait()
        await until_true(lambda: store.calls["beat"] >= 2)
        store.mend()
        view = await until(handle, lambda view: view.progress is not None)
        assert view.progress == '{"done":1,"of":2}'
        go_on.set()
        await handle.result(30)


async def test_an_outage_that_outlasts_the_leases_runs_no_job_twice(app: App[None], store: Unreliable) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    events: list[str] = []
    app.listen(lambda event: events.append(event.kind))

    @app.job()
    async def wait(ctx: C) -> int:
        begun.set()
        await go_on.wait()
        return ctx.attempt

    async with app.worker(lease=SHORT):
        handle = await wait.enqueue()
        await begun.wait()
        store.fail()
        over = (await store.behind.page(Where(ids=(handle.id,)), limit=1))[0].lease_until
        assert over is not None
        await until_true(lambda: app.clock() > over + SHORT)  # a beat may have been on its way
        swept = store.calls["sweep"]
        store.mend()
        await until_true(lambda: store.calls["sweep"] > swept)
        go_on.set()
        assert await handle.result(30) == 1
    assert "rescued" not in events


async def test_renewing_leases_survives_an_error_that_nobody_foresaw(app: App[None], store: Unreliable) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.job()
    async def wait(ctx: C) -> None:
        begun.set()
        await go_on.wait()

    odd: Any = OSError("nobody foresaw this")
    async with app.worker(lease=SHORT):
        handle = await wait.enqueue()
        await begun.wait()
        store.fail(odd, "beat")
        await until_true(lambda: store.calls["beat"] >= 3)
        store.mend()
        await until_record(app, "worker", '"running":1')
        go_on.set()
        await handle.result(30)


async def test_a_worker_can_stop_while_the_store_is_away(app: App[None], store: Unreliable) -> None:
    begun = asyncio.Event()

    @app.job()
    async def wait(ctx: C) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with app.worker(grace=timedelta(), lease=SHORT):
        handle = await wait.enqueue()
        await begun.wait()
        store.fail()
    store.mend()
    assert (await handle.view()).state is State.RUNNING  # its lease runs out, and it is rescued
    swept = await app.store.sweep(10, now=app._clock() + timedelta(hours=1))
    assert swept.rescued == [handle.id]


async def test_whoever_waits_for_a_result_hears_that_the_store_is_away_and_can_ask_again(
    app: App[None], store: Unreliable
) -> None:
    @app.job()
    async def well(ctx: C) -> str:
        return "well"

    handle = await well.enqueue()
    store.fail()
    with pytest.raises(StoreUnavailable, match="away"):
        await handle.result(30)
    store.mend()
    async with app.worker():
        assert await handle.result(30) == "well"
