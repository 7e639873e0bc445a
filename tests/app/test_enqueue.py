"""Enqueueing: options, unique keys, many at once, and inside a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from lamplighter import App, BadArguments, ConfigError, Ctx, Priority, State, TransactionUnsupported, UnknownJob
from lamplighter.core.config import Settings
from lamplighter.core.model import Unique
from lamplighter.testing import FakeClock

C = Ctx[None]


def noting(app: App[None], ran: list[Any], **options: Any) -> Any:
    @app.job("note", **options)
    async def note(ctx: C, what: Any, *, more: int = 0) -> None:
        ran.append(what)

    return note


async def test_the_more_urgent_runs_first_and_of_equals_the_earlier_due(timed: App[None], clock: FakeClock) -> None:
    ran: list[str] = []
    note = noting(timed, ran)
    for priority in (Priority.LOW, Priority.URGENT, Priority.NORMAL, Priority.HIGH):
        await note.using(priority=priority).enqueue(priority.name)
        await note.using(priority=priority, run_at=clock() - timedelta(hours=1)).enqueue(f"{priority.name} before")
    await timed.work(until_idle=True, concurrency=1)
    assert [name.removesuffix(" before") for name in ran[::2]] == ["URGENT", "HIGH", "NORMAL", "LOW"]
    assert all(name.endswith("before") for name in ran[::2])


@pytest.mark.parametrize("delay", [90, timedelta(seconds=90)], ids=["seconds", "timedelta"])
async def test_a_delayed_job_waits_for_its_time(timed: App[None], clock: FakeClock, delay: Any) -> None:
    ran: list[str] = []
    note = noting(timed, ran)
    await note.using(delay=delay).enqueue("delayed")
    await note.using(run_at=clock() + timedelta(seconds=90)).enqueue("at")
    clock.advance(89)
    await timed.work(until_idle=True)
    assert ran == []
    clock.advance(1)
    await timed.work(until_idle=True)
    assert sorted(ran) == ["at", "delayed"]


async def test_many_are_enqueued_in_order_with_a_handle_each(app: App[None]) -> None:
    ran: list[int] = []
    note = noting(app, ran)
    handles = await app.enqueue(note.draft(n) for n in range(2500))
    assert len({handle.id for handle in handles}) == 2500
    assert [handle.id for handle in handles] == sorted(handle.id for handle in handles)
    await app.work(until_idle=True, concurrency=1)
    assert ran == list(range(2500))
    assert await app.enqueue([]) == []


async def test_true_makes_one_job_for_each_set_of_arguments(app: App[None]) -> None:
    note = noting(app, [], unique=True)
    first, same, other = await app.enqueue([note.draft("a"), note.draft(what="a", more=0), note.draft("a", more=1)])
    assert [first.created, same.created, other.created] == [True, False, True]
    assert same.id == first.id
    assert "not created: its key was held" in repr(same)


async def test_a_template_makes_one_job_for_each_key(app: App[None]) -> None:
    note = noting(app, [], unique="note:{what}")
    one, same, other = await app.enqueue([note.draft("a", more=1), note.draft("a", more=2), note.draft("b")])
    assert [one.created, same.created, other.created] == [True, False, True]
    assert (await one.view()).unique == Unique("note:a", "active")


@pytest.mark.parametrize(
    ("options", "while_running", "when_ended"),
    [
        ({"unique_mode": "pending"}, True, True),
        ({"unique_mode": "active"}, False, True),
        ({}, False, True),
        ({"unique_for": timedelta(hours=1)}, False, False),
    ],
    ids=["pending", "active", "default", "period"],
)
async def test_a_key_is_held_as_long_as_its_mode_says(
    timed: App[None], clock: FakeClock, options: Any, while_running: bool, when_ended: bool
) -> None:
    note = noting(timed, [], unique="key", **options)
    first = await note.enqueue(1)
    assert not (await note.enqueue(1)).created
    [claimed] = await timed.store.claim([], 1, worker="w", lease=timedelta(seconds=9), now=clock())
    assert claimed.id == first.id
    second = await note.enqueue(2)
    assert second.created is while_running
    await timed.store.sweep(9, now=clock.advance(10))
    await timed.work(until_idle=True)
    assert (await first.view()).state is State.DONE
    assert (await note.enqueue(3)).created is when_ended
    clock.advance(3600)
    await timed.work(until_idle=True)
    assert (await note.enqueue(4)).created


async def test_a_job_that_replaces_gives_the_waiting_one_its_arguments_and_its_time(
    timed: App[None], clock: FakeClock
) -> None:
    ran: list[str] = []
    note = noting(timed, ran, unique="key", when_held="replace")
    first = await note.using(delay=60).enqueue("a")
    second = await note.using(delay=1, priority=Priority.HIGH).enqueue("b")
    assert (second.id, second.created, second.replaced) == (first.id, False, True)
    assert "not created: it waited under its key, and was replaced" in repr(second)
    assert (await first.view()).priority == Priority.HIGH
    kept = await note.using(when_held="keep").enqueue("c")
    assert (kept.id, kept.created, kept.replaced) == (first.id, False, False)
    clock.advance(1)
    await timed.work(until_idle=True)
    assert ran == ["b"]
    assert (await note.enqueue("d")).created


async def test_a_debounced_job_runs_once_it_is_quiet_or_has_been_put_off_for_long_enough(
    timed: App[None], clock: FakeClock
) -> None:
    ran: list[int] = []
    options = {"when_held": "debounce", "debounce_for": timedelta(seconds=25), "delay": 10}
    note = noting(timed, ran, unique="key", **options)
    for n in range(2):
        assert (await note.enqueue(n)).created is (n == 0)
        clock.advance(9)
        await timed.work(until_idle=True)
    assert ran == []
    clock.advance(1)
    await timed.work(until_idle=True)
    assert ran == [1]
    for n in range(2, 5):
        await note.enqueue(n)
        clock.advance(9)
        await timed.work(until_idle=True)
    assert ran == [1, 4]


async def test_a_worker_at_rest_hears_that_a_job_was_brought_forward(app: App[None]) -> None:
    ran: list[int] = []
    note = noting(app, ran, unique="key", when_held="replace")
    async with app.worker():
        first = await note.using(delay=3600).enqueue(1)
        await note.using(delay=0.1).enqueue(2)
        await first.result(timeout=60)
    assert ran == [2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": -1}, "is not between 0 and ten years"),
        ({"delay": float("nan")}, "is not between 0 and ten years"),
        ({"delay": float("inf")}, "is not between 0 and ten years"),
        ({"delay": 1, "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, "either a delay or a run_at"),
        ({"run_at": datetime(2030, 1, 1)}, "has no time zone"),  # noqa: DTZ001
        ({"queue": ""}, "must have 1 to 200 characters"),
        ({"tenant": "x" * 201}, "must have 1 to 200 characters"),
        ({"unique": True, "unique_mode": "activ"}, "is not one of pending, active, period"),
        ({"unique": True, "unique_mode": "period"}, "give it as unique_for"),
        ({"unique": True, "unique_for": timedelta()}, "is not between 0 and ten years"),
        ({"unique": True, "when_held": "replaced"}, "is not one of keep, replace, debounce"),
        ({"when_held": "replace"}, "give the key as unique"),
        ({"unique": True, "when_held": "debounce"}, "say for how long as debounce_for"),
        ({"unique": True, "when_held": "replace", "debounce_for": timedelta(1)}, "give both, or neither"),
        ({"unique": True, "when_held": "debounce", "debounce_for": timedelta()}, "is not between 0 and ten years"),
        ({"unique": True, "when_held": "debounce", "debounce_for": timedelta(1), "delay": 86401}, "delay is longer"),
    ],
)
def test_an_option_that_cannot_be_is_refused_where_it_is_given(options: Any, message: str) -> None:
    app = App("memory://", settings=Settings())
    with pytest.raises(ConfigError, match=message):
        noting(app, [], **options)


@pytest.mark.parametrize("options", [{"keep_done": timedelta(-1)}, {"keep_failed": timedelta.max}, {"timeout": 0}])
def test_a_job_that_cannot_be_is_refused_where_it_is_made(options: Any) -> None:
    with pytest.raises(ConfigError):
        noting(App("memory://", settings=Settings()), [], **options)


async def test_arguments_that_do_not_fit_are_refused_before_anything_is_added(app: App[None]) -> None:
    @app.job()
    async def count(ctx: C, n: int) -> None: ...

    circle: list[Any] = []
    circle.append(circle)
    for wrong in ("many", 1.5, None, circle, "\ud800"):
        with pytest.raises(BadArguments, match="'count' cannot take"):
            await count.enqueue(wrong)  # type: ignore[arg-type]
    assert await app.store.stats() == []


@pytest.fixture
async def data(sqlite: str, tmp_path: Path) -> Any:
    """An app whose jobs and data share one file."""
    async with App(sqlite, settings=Settings()) as app:
        with sqlite3.connect(tmp_path / "jobs.db") as connection:
            connection.execute("CREATE TABLE lamps (name TEXT)")
        connection.close()
        yield app, tmp_path / "jobs.db"


@pytest.mark.parametrize("kept", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize("how", ["within", "tx"])
async def test_a_job_shares_the_fate_of_a_sqlite3_transaction(data: Any, how: str, kept: bool) -> None:
    app, path = data
    note = noting(app, [])
    connection = sqlite3.connect(path)
    try:
        connection.execute("INSERT INTO lamps VALUES ('one')")
        if how == "tx":
            [handle] = await app.enqueue([note.draft(1)], tx=connection)
        else:
            [handle] = app.enqueue_within(connection, [note.draft(1)])
        with pytest.raises(UnknownJob, match="commit the transaction that adds it"):
            await handle.view()
        (connection.commit if kept else connection.rollback)()
    finally:
        connection.close()
    await app.work(until_idle=True)
    if kept:
        assert (await handle.view()).state is State.DONE
    else:
        with pytest.raises(UnknownJob):
            await handle.result(30)


async def test_a_job_joins_a_transaction_of_sqlalchemy(data: Any) -> None:
    app, path = data
    note = noting(app, [])
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    try:
        with Session(engine) as session:
            session.execute(sqlalchemy.text("INSERT INTO lamps VALUES ('one')"))
            [handle] = app.enqueue_within(session, [note.draft(1)])
            session.commit()
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("INSERT INTO lamps VALUES ('two')"))
            [lost] = await app.enqueue([note.draft(1)], tx=connection)
            connection.rollback()
    finally:
        engine.dispose()
    await app.work(until_idle=True)
    assert (await handle.view()).state is State.DONE
    with pytest.raises(UnknownJob):
        await lost.view()


async def test_what_is_no_transaction_on_the_store_is_refused(app: App[None]) -> None:
    note = noting(app, [])
    with pytest.raises(TransactionUnsupported):
        await app.enqueue([note.draft(1)], tx=object())
    with pytest.raises(TransactionUnsupported):
        app.enqueue_within(object(), [note.draft(1)])
    assert sum(one.queued for one in await app.store.stats()) == 0


async def test_a_job_is_drafted_by_its_name_and_the_names_of_its_arguments(app: App[None]) -> None:
    @app.job(queue="post", priority=5)
    async def note(ctx: C, what: str, at: datetime | None = None) -> None: ...

    named = app.job_named("note")
    [handle] = await app.enqueue([named.draft_of({"at": "2030-01-01T00:00:00Z", "what": "a"})])
    view = await handle.view()
    assert (view.name, view.queue, view.priority) == ("note", "post", 5)
    assert note.definition.codec.load(view.args)["at"] == datetime(2030, 1, 1, tzinfo=UTC)
    for wrong in ({}, {"what": 7}, {"what": "a", "self": 1}, {"what": "a", "ctx": 1}, {"what": "\ud800"}):
        with pytest.raises(BadArguments):
            named.draft_of(wrong)
    with pytest.raises(UnknownJob, match="did you mean 'note'"):
        app.job_named("notes")
