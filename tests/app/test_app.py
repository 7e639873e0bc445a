"""An app: opened and closed, its settings, its worker's bounds, and work until idle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from lamplighter import App, ConfigError, Ctx, Event, State, StoreUnavailable
from lamplighter.core.config import Settings
from lamplighter.testing import FakeClock

C = Ctx[None]
NOT_OPEN = r"^the app is not open: put `async with app:` around what uses it\.$"


def with_lifespan(url: str) -> tuple[App[None], list[str]]:
    app, told = App(url, settings=Settings()), list[str]()

    @app.lifespan
    @asynccontextmanager
    async def pool() -> AsyncIterator[None]:
        await asyncio.sleep(0)
        told.append("entered")
        yield
        told.append("left")

    return app, told


async def test_a_lifespan_is_entered_and_left_once_however_often_the_app_is_opened(url: str) -> None:
    app, told = with_lifespan(url)
    async with app:
        async with app, app:
            assert told == ["entered"]
        assert told == ["entered"]
    assert told == ["entered", "left"]
    async with app:
        pass
    assert told == ["entered", "left"] * 2


async def test_a_lifespan_is_entered_once_by_those_who_open_the_app_at_once(url: str) -> None:
    app, told = with_lifespan(url)

    async def use() -> None:
        async with app:
            assert "entered" in told
            await asyncio.sleep(0)

    await asyncio.gather(use(), use(), use())
    assert told.count("entered") == told.count("left")
    async with asyncio.TaskGroup() as group, app:
        group.create_task(use())


async def test_a_lifespan_that_fails_closes_what_was_opened(sqlite: str) -> None:
    app, told = with_lifespan(sqlite)

    @app.lifespan
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        if told:
            raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        async with app:
            raise AssertionError
    assert told == ["entered", "left"]
    with pytest.raises(StoreUnavailable):
        await app.store.stats()


async def test_a_lifespan_may_enqueue(url: str) -> None:
    app = App(url, settings=Settings())

    @app.job()
    async def greet(ctx: C) -> None: ...

    @app.lifespan
    @asynccontextmanager
    async def greeted() -> AsyncIterator[None]:
        await greet.enqueue()
        yield
        await greet.enqueue()

    async with app:
        assert sum(one.queued for one in await app.store.stats()) == 1
        async with app:
            assert sum(one.queued for one in await app.store.stats()) == 1


async def test_an_app_that_is_not_open_says_so_on_every_store(url: str) -> None:
    app = App(url, settings=Settings())

    @app.job()
    async def light(ctx: C) -> None: ...

    with pytest.raises(ConfigError, match=NOT_OPEN):
        await light.enqueue()
    with pytest.raises(ConfigError, match=NOT_OPEN):
        await app.pause("default")
    with pytest.raises(ConfigError, match=NOT_OPEN):
        async with app.worker():
            raise AssertionError


async def test_a_worker_out_of_bounds_is_refused(app: App[None]) -> None:
    with pytest.raises(ConfigError, match="concurrency=0 would run nothing"):
        async with app.worker(concurrency=0):
            raise AssertionError
    with pytest.raises(ConfigError, match="too short to be renewed"):
        async with app.worker(lease=timedelta()):
            raise AssertionError


async def test_an_app_without_a_url_takes_what_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lamplighter.toml").write_text('store = "sqlite:///here.db"\nconcurrency = 3\n')
    app = App()
    assert app.settings.concurrency == 3
    async with app:
        assert (tmp_path / "here.db").exists()


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("sqllite:///x.db", "did you mean sqlite://"),
        ("x.db", "use memory://, sqlite"),
        ("sqlite://x.db", "slash too few"),
    ],
)
def test_a_wrong_url_is_refused_when_the_app_is_made(url: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        App(url, settings=Settings())


async def test_work_until_idle_runs_what_is_due_and_what_that_enqueues(timed: App[None], clock: FakeClock) -> None:
    ran: list[int] = []

    @timed.job()
    async def count(ctx: C, n: int) -> None:
        ran.append(n)
        if n < 5:
            await count.enqueue(n + 1)

    await count.enqueue(0)
    await count.using(delay=3600).enqueue(10)
    await timed.work(until_idle=True)
    assert ran == [0, 1, 2, 3, 4, 5]
    clock.advance(3600)
    await timed.work(until_idle=True)
    assert ran[-1] == 10


async def test_work_until_idle_leaves_alone_what_its_worker_does_not_serve(url: str) -> None:
    app = App(url, settings=Settings(queues=("mine",)))

    @app.job()
    async def light(ctx: C) -> None: ...

    async with app:
        mine = await light.using(queue="mine").enqueue()
        other = await light.using(queue="other").enqueue()
        await app.work(until_idle=True)
        assert [(await mine.view()).state, (await other.view()).state] == [State.DONE, State.QUEUED]


async def test_events_come_in_order_and_carry_no_arguments(app: App[None]) -> None:
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise ZeroDivisionError

    leave = [app.listen(broken), app.listen(events.append)]

    @app.job(tenant="t-1")
    async def light(ctx: C, secret: str) -> str:
        return secret

    handle = await light.enqueue("hush")
    await app.work(until_idle=True)
    assert [event.kind for event in events] == ["enqueued", "started", "done"]
    assert {(event.job, event.name, event.queue, event.tenant) for event in events} == {
        (handle.id, "light", "default", "t-1")
    }
    assert "hush" not in repr(events)
    assert events[1].late_ms is not None
    for end in leave + leave:  # to leave twice does no harm
        end()
    await light.enqueue("hush")
    assert len(events) == 3


async def test_a_paused_queue_waits_until_it_is_resumed(app: App[None]) -> None:
    @app.job()
    async def light(ctx: C) -> str:
        return "lit"

    await app.pause("default")
    handle = await light.enqueue()
    await app.work(until_idle=True)
    assert (await handle.view()).state is State.QUEUED
    async with app.worker():
        await app.resume("default")
        assert await handle.result(30) == "lit"


async def test_work_until_idle_runs_what_schedules_missed(timed: App[None], clock: FakeClock) -> None:
    ran: list[str] = []

    @timed.job()
    async def sweep_up(ctx: Ctx[None]) -> None:
        ran.append(ctx.id)

    timed.cron("0 3 * * *", sweep_up.draft())
    await timed.work(until_idle=True)
    assert ran == []
    clock.advance(86_400)
    await timed.work(until_idle=True)
    assert len(ran) == 1


async def test_what_is_beside_an_app_ends_with_it_and_can_use_the_store_until_then(url: str) -> None:
    app, began, told = App(url, settings=Settings()), asyncio.Event(), list[str]()

    async def look_on() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append(f"{len(await app.store.stats())} queues")

    async def be_quick() -> None:
        told.append("done")

    async with app:
        async with app:
            task = app.beside(look_on, name="look on")
            await app.beside(be_quick, name="be quick")
            await began.wait()
        assert not task.done(), "it is still open"
    assert task.cancelled()
    assert told == ["done", "0 queues"]
    with pytest.raises(ConfigError, match=NOT_OPEN):
        app.beside(be_quick, name="too late")
