"""Flows: chains and groups run as they are put together, and their last job finds what became of the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import assert_type

import pytest

from lamplighter import (
    App,
    Child,
    Children,
    ConfigError,
    Ctx,
    Draft,
    Flow,
    Handle,
    JobCancelled,
    JobFailed,
    State,
    StoreUnavailable,
    chain,
    group,
    never,
)
from lamplighter.app.why.blocker import Held
from lamplighter.core.config import Settings
from lamplighter.core.ids import new_id
from lamplighter.core.model import Added, NewJob, Outcome, Where
from lamplighter.engine.process import _ChildCtx
from lamplighter.testing import FakeClock

ID = new_id(1_900_000_000_000_000)


class Kiln:
    """Jobs to put together, and what ran."""

    def __init__(self, app: App[None]) -> None:
        self.app = app
        self.ran: list[str] = []

        @app.job(retry=never)
        async def brick(ctx: Ctx[None], n: int) -> int:
            self.ran.append(f"brick {n}")
            if n < 0:
                raise ValueError("it cracked")
            return n

        @app.job()
        async def wall(ctx: Ctx[None]) -> list[int]:
            self.ran.append("wall")
            return [child.result async for child in ctx.children(State.DONE)]

        @app.job()
        def house(ctx: Ctx[None]) -> list[str]:
            return [f"{child.name} {child.place}: {child.state} {child.reason}" for child in ctx.children()]

        self.brick, self.wall, self.house = brick, wall, house

    def bricks(self, *numbers: int) -> list[Draft[int]]:
        return [self.brick.draft(n) for n in numbers]


@pytest.fixture
def kiln(app: App[None]) -> Kiln:
    return Kiln(app)


async def test_a_chain_runs_in_order_and_each_finds_the_result_before_it(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(chain(kiln.brick.draft(1), kiln.brick.draft(2), kiln.wall.draft()))
    await kiln.app.work(until_idle=True)
    assert kiln.ran == ["brick 1", "brick 2", "wall"]
    assert await handle.result(timeout=0) == [2]


async def test_a_group_ends_before_its_last_job_begins(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(group(kiln.bricks(1, 2, 3), kiln.wall.draft()))
    assert (await handle.view()).state is State.HELD
    await kiln.app.work(until_idle=True)
    assert kiln.ran[-1] == "wall"
    assert await handle.result(timeout=0) == [3, 2, 1], "the last first"
    assert (await handle.view()).children == Children(total=3, added=3, done=3)


async def test_groups_of_chains_of_groups_run_too(kiln: Kiln) -> None:
    wall = group(kiln.bricks(1, 2), kiln.wall.draft())
    handle = await kiln.app.enqueue_flow(group([chain(wall, kiln.wall.draft()), *kiln.bricks(7)], kiln.wall.draft()))
    await kiln.app.work(until_idle=True)
    assert (await handle.view()).result == "[7,[[2,1]]]"


async def test_a_thread_reads_children_without_await(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(group(kiln.bricks(1, -1), kiln.house.draft(), on_failure="continue"))
    await kiln.app.work(until_idle=True)
    assert await handle.result(timeout=0) == ["brick 1: failed it cracked", "brick 0: done None"]


async def test_a_failed_child_fails_its_parent_while_the_others_go_on(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(group(kiln.bricks(-1, 2), kiln.wall.draft()))
    await kiln.app.work(until_idle=True)
    [second, first] = [child async for child in handle.children()]
    with pytest.raises(JobFailed, match=f"its child {first.id} failed"):
        await handle.result(timeout=0)
    assert (first.place, first.state, first.reason) == (0, State.FAILED, "it cracked")
    assert (second.state, second.result) == (State.DONE, 2)
    assert "wall" not in kiln.ran


async def test_a_failure_that_was_mended_lets_the_retried_parent_run(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(group(kiln.bricks(-1), kiln.wall.draft()))
    await kiln.app.work(until_idle=True)
    failed = [child.id async for child in handle.children(State.FAILED)]
    now = kiln.app.clock()
    await kiln.app.store.retry(Where(ids=(handle.id, *failed)), limit=2, now=now)
    assert (await handle.view()).state is State.HELD
    [attempt] = await kiln.app.store.claim([], 9, worker="by hand", lease=kiln.app.settings.lease, now=now)
    assert await kiln.app.store.finish([done(attempt.id, attempt.fence)], now=now) == failed
    await kiln.app.work(until_idle=True)
    assert await handle.result(timeout=0) == [5]


def done(id_: str, fence: int) -> Outcome:
    return Outcome(id=id_, fence=fence, verb="done", result="5")


async def test_a_tree_is_cancelled_whole(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(
        group([chain(kiln.brick.draft(n), kiln.brick.draft(n)) for n in range(3)], kiln.wall.draft())
    )
    other = await kiln.brick.enqueue(9)
    assert await handle.cancel(tree=True)
    assert not await handle.cancel(tree=True)
    await kiln.app.work(until_idle=True)
    assert kiln.ran == ["brick 9"]
    with pytest.raises(JobCancelled):
        await handle.result(timeout=0)
    assert {view.state for view in await kiln.app.store.page(Where(), limit=99) if view.id != other.id} == {
        State.CANCELLED
    }


async def test_without_a_tree_only_the_job_itself_is_cancelled(kiln: Kiln) -> None:
    handle = await kiln.app.enqueue_flow(group(kiln.bricks(1), kiln.wall.draft()))
    assert await kiln.app.cancel(handle.id)
    await kiln.app.work(until_idle=True)
    assert kiln.ran == ["brick 1"]
    assert await kiln.app.cancel(handle.id, tree=True) is False


async def test_an_enqueue_that_is_interrupted_goes_on_when_repeated(
    kiln: Kiln, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, add, calls = kiln.app.store, kiln.app.store.add, 0

    async def add_twice_then_die(jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreUnavailable("the server is away: wait until it is back.")
        return await add(jobs, now=now, tx=tx)

    def flow() -> Flow[list[int]]:
        return group((kiln.brick.draft(n) for n in range(2500)), kiln.wall.draft(), count=2500)

    monkeypatch.setattr(store, "add", add_twice_then_die)
    with pytest.raises(StoreUnavailable):
        await kiln.app.enqueue_flow(flow(), id=ID)
    monkeypatch.undo()
    [view] = await store.page(Where(ids=(ID,)), limit=1)
    assert view.children == Children(total=2500, added=1999)
    [why] = [found for found in await kiln.app.why(ID) if isinstance(found, Held)]
    assert (why.total, why.ended, why.missing, why.running, why.waiting) == (2500, 0, 501, None, None)
    handle = await kiln.app.enqueue_flow(flow(), id=ID)
    assert (handle.id, handle.created) == (ID, True)
    assert (await handle.view()).children == Children(total=2500, added=2500)


async def test_a_flow_of_a_running_job_is_enqueued_once_however_often_that_runs(kiln: Kiln, app: App[None]) -> None:
    attempts: list[Handle[list[int]]] = []

    @app.job(retry=lambda attempt: attempt.age * 0)
    async def plan(ctx: Ctx[None]) -> None:
        flow = group(kiln.bricks(1, 2), kiln.wall.draft())
        attempts.append(await app.enqueue_flow(flow, id=ctx.id_for("wall")))
        if len(attempts) == 1:
            raise OSError("killed before it was done")

    await plan.enqueue()
    await app.work(until_idle=True)
    assert len({handle.id for handle in attempts}) == 1
    assert sorted(kiln.ran) == ["brick 1", "brick 2", "wall"]


async def test_a_flow_whose_last_job_is_held_back_by_its_key_adds_nothing(kiln: Kiln) -> None:
    wall = kiln.wall.using(unique="the wall")
    first = await kiln.app.enqueue_flow(group(kiln.bricks(1), wall.draft()))
    again = await kiln.app.enqueue_flow(group(kiln.bricks(2), wall.draft()))
    assert (again.created, again.id) == (False, first.id)
    await kiln.app.work(until_idle=True)
    assert kiln.ran == ["brick 1", "wall"]


async def test_no_more_is_added_once_nobody_waits_for_it(kiln: Kiln, monkeypatch: pytest.MonkeyPatch) -> None:
    add, drafted = kiln.app.store.add, 0

    def drafts() -> Iterator[Draft[int]]:
        nonlocal drafted
        for n in range(5000):
            drafted = n
            yield kiln.brick.draft(n)

    async def add_then_cancel(jobs: Sequence[NewJob], *, now: datetime, tx: object = None) -> list[Added]:
        added = await add(jobs, now=now, tx=tx)
        await kiln.app.cancel(ID, tree=True)
        return added

    monkeypatch.setattr(kiln.app.store, "add", add_then_cancel)
    handle = await kiln.app.enqueue_flow(group(drafts(), kiln.wall.draft(), count=5000), id=ID)
    assert (await handle.view()).children == Children(total=5000, added=999, cancelled=999)
    assert drafted < 2000


async def test_why_a_held_job_waits_is_told_with_figures(timed: App[None], clock: FakeClock) -> None:
    kiln = Kiln(timed)
    handle = await timed.enqueue_flow(group(kiln.bricks(1, 2, 3), kiln.wall.draft()))
    await timed.store.claim([], 1, worker="w", lease=timed.settings.lease, now=clock())
    [why] = await handle.why()
    assert isinstance(why, Held)
    assert (why.total, why.ended, why.missing, why.running, why.waiting) == (3, 0, 0, 1, 2)
    assert why.says == (
        f"0 of 3 children have ended (1 running, 2 waiting): wait, or see `lamplighter jobs why {why.next}`."
    )


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
async def test_a_flow_joins_a_transaction(sqlite: str, tmp_path: Path, end: str) -> None:
    async with App(sqlite, settings=Settings()) as app:
        kiln = Kiln(app)
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            flow = group(kiln.bricks(1, 2), kiln.wall.draft())
            connection.execute("BEGIN")
            await app.enqueue_flow(flow, tx=connection)
            app.enqueue_flow_within(connection, flow)
            connection.execute(end)
        await app.work(until_idle=True)
    assert kiln.ran.count("wall") == (2 if end == "COMMIT" else 0)


async def test_an_id_that_is_none_is_refused(kiln: Kiln) -> None:
    with pytest.raises(ConfigError, match="id='nightly' is no UUID of version 7"):
        await kiln.app.enqueue_flow(group([], kiln.wall.draft()), id="nightly")


async def test_a_unit_test_gives_the_children_itself(kiln: Kiln) -> None:
    given = [Child(id="a", name="brick", state=State.DONE, result=4), Child(id="b", name="brick", state=State.FAILED)]
    assert await kiln.wall(Ctx(None, children=given)) == [4]
    assert len(kiln.house(Ctx(None, children=given))) == 2
    assert await kiln.wall(Ctx(None)) == []


async def test_children_are_awaited_on_the_loop(kiln: Kiln, app: App[None]) -> None:
    @app.job(retry=never)
    async def blocking(ctx: Ctx[None]) -> int:
        return len(list(ctx.children()))

    handle = await app.enqueue_flow(chain(kiln.brick.draft(1), blocking.draft()))
    await app.work(until_idle=True)
    with pytest.raises(JobFailed, match="write `async for child in "):
        await handle.result(timeout=0)


def test_a_process_of_its_own_says_that_it_has_no_children_to_read() -> None:
    with pytest.raises(ConfigError, match="job 'render' runs in a process of its own, which has no store"):
        _ChildCtx(None, name="render").children()


async def types(kiln: Kiln) -> None:
    """Checked by mypy alone."""
    assert_type(chain(kiln.brick.draft(1), kiln.wall.draft()), Flow[list[int]])
    assert_type(await kiln.app.enqueue_flow(group(kiln.bricks(1), kiln.brick.draft(1))), Handle[int])
