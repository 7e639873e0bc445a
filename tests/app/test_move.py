"""Moving jobs to another store: whole, once, however the move is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.app.moving import Named, Pair

from lamplighter import App, Ctx
from lamplighter.app.move import Duplicate, Mover
from lamplighter.app.parcel import KIND, LARGEST, QUEUE
from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.core.flow_control import GateRule, QueueRule, TenantRule
from lamplighter.core.model import Record, State, Where
from lamplighter.engine import tick
from lamplighter.engine.pause import pause, pauses
from lamplighter.store.open import open_store
from lamplighter.store.rules import record_of
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    children_of,
    claim,
    end,
    ended,
    failure,
    ids_of,
    job,
    later,
    parent,
    rule,
    see,
    started,
    unique,
)


@pytest.fixture(params=["memory", "sqlite"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    if request.param == "memory":
        yield Pair(Named("memory://a"), Named("memory://b"))
        return
    async with AsyncExitStack() as stack:
        urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("a", "b")]
        yield Pair(*[await stack.enter_async_context(open_store(url)) for url in urls])


async def test_all_that_is_known_of_a_waiting_job_is_kept(pair: Pair) -> None:
    attempt = await started(pair.source, unique("k", mode="active", tenant="t-1", priority=10, args='{"to":"å 🪔"}'))
    await end(pair.source, attempt, "retry", run_at=later(60), failure=failure(attempt))
    await add(pair.source, unique("p", mode="period", until=later(90), run_at=later(5)), job(queue="files"))
    before = await pair.source.page(EVERY, limit=MANY)
    moved = await pair.move(now=later(1))
    assert (moved.moved, moved.duplicates, moved.waiting, moved.running) == (3, [], 0, 0)
    assert await ids_of(pair.source) == []
    after = await pair.target.page(EVERY, limit=MANY)
    assert [msgspec.structs.replace(view, fence=0) for view in before] == after
    for held in (unique("k"), unique("p")):
        [refused] = await pair.target.add([held], now=later(2))
        assert not refused.created
    await pair.target.sweep(MANY, now=later(60))
    assert {one.id: one.failures for one in await claim(pair.target, now=later(60))}[attempt.id] == 1


async def test_more_than_a_batch_is_moved_in_order(pair: Pair) -> None:
    large = [job(args='"' + "x" * (LARGEST // 2) + '"') for _ in range(3)]
    ids = await add(pair.source, *(job() for _ in range(600)), *large)
    assert (await pair.move()).moved == 603
    assert [one.id for one in await claim(pair.target)] == sorted(ids)
    assert await ids_of(pair.source) == []


async def test_what_has_ended_stays(pair: Pair) -> None:
    id_ = await ended(pair.source)
    assert (await pair.move()).moved == 0
    assert await ids_of(pair.source) == [id_]


async def test_a_job_whose_key_is_held_at_the_target_is_dropped_and_told(pair: Pair) -> None:
    [mine] = await add(pair.source, unique("k"))
    [theirs] = await add(pair.target, unique("k"))
    moved = await pair.move()
    assert (moved.moved, moved.duplicate, moved.duplicates) == (0, 1, [Duplicate(mine, theirs)])
    assert await ids_of(pair.source) == []
    assert await ids_of(pair.target) == [theirs]


@pytest.mark.parametrize("at_target", [False, True])
async def test_a_retry_is_not_lost_over_a_key(pair: Pair, at_target: bool) -> None:
    retried = await started(pair.source, unique("k"))
    [holder] = await add(pair.target if at_target else pair.source, unique("k"))
    await end(pair.source, retried, "retry", run_at=later(9), failure=failure(retried))
    moved = await pair.move()
    assert (moved.moved, moved.duplicates) == (1 if at_target else 2, [])
    assert set(await ids_of(pair.target)) == {retried.id, holder}
    [refused] = await pair.target.add([unique("k")], now=NOW)
    assert refused.id == holder


async def test_a_job_whose_period_is_over_is_not_lost_over_its_key(pair: Pair) -> None:
    [older] = await add(pair.source, unique("k", mode="period", until=later(60)))
    [newer] = await add(pair.source, unique("k", mode="period", until=later(120)), now=later(60))
    assert (await pair.move(now=later(61))).moved == 2
    assert await ids_of(pair.target) == [newer, older]
    [refused] = await pair.target.add([unique("k")], now=later(61))
    assert refused.id == newer


async def test_a_successor_takes_the_key_along_that_it_was_handed(pair: Pair) -> None:
    parent = await started(pair.source, unique("k", mode="active"))
    [successor] = await add(pair.source, unique("k", mode="active", parent=parent.id))
    moved = await pair.move()
    assert (moved.moved, moved.running) == (1, 1)
    await end(pair.source, parent, "retry", run_at=later(3), failure=failure(parent))
    assert (await pair.move()).moved == 1
    assert set(await ids_of(pair.target)) == {successor, parent.id}
    [refused] = await pair.target.add([unique("k")], now=NOW)
    assert refused.id == successor


async def test_running_jobs_are_left_to_end_and_their_retries_moved(pair: Pair) -> None:
    retried, done = [await started(pair.source) for _ in range(2)]
    [other] = await add(pair.source, job())
    landed = asyncio.Event()
    mover = Mover(pair.source, pair.target, clock=lambda: NOW, told=lambda _: landed.set())
    move = asyncio.create_task(mover.run(wait=timedelta(seconds=60)))
    await landed.wait()
    landed.clear()
    [late] = await add(pair.source, job())  # a producer that was not switched yet
    await landed.wait()
    assert {view.state for view in await pair.source.page(EVERY, limit=MANY)} == {State.RUNNING}
    await end(pair.source, done, "done", keep_until=NOW)
    await end(pair.source, retried, "release")
    moved = await move
    assert (moved.moved, moved.running) == (3, 0)
    assert set(await ids_of(pair.target)) == {retried.id, other, late}


async def test_a_family_stays_at_the_source_whole(pair: Pair) -> None:
    held = parent(2)
    waiting, later_on = children_of(held, 2)
    await add(pair.source, held, waiting, later_on, other := job())
    moved = await pair.move()
    assert (moved.moved, moved.waiting, moved.held) == (1, 2, 1)
    assert await ids_of(pair.target) == [other.id]
    assert len(await ids_of(pair.source)) == 3


async def test_what_still_runs_after_the_wait_is_told(pair: Pair) -> None:
    running = await started(pair.source)
    assert (await pair.move()).running == 1
    await end(pair.source, running, "release")
    assert ((await pair.move()).moved, await ids_of(pair.target)) == (1, [running.id])


async def test_a_job_of_a_worker_that_vanished_is_rescued_and_moved(pair: Pair) -> None:
    lost = await started(pair.source)
    assert (await pair.move(now=NOW + LEASE)).moved == 1
    assert (await see(pair.target, lost.id)).crashes == 1


async def test_a_stopped_move_ends_after_its_batch_and_goes_on_when_run_again(pair: Pair) -> None:
    await add(pair.source, *(job() for _ in range(300)))
    mover = Mover(pair.source, pair.target, clock=lambda: NOW, told=lambda _: mover.stop())
    moved = await mover.run(wait=timedelta(hours=1))
    assert (moved.moved, moved.waiting) == (250, 50)
    assert (await pair.move()).moved == 50


async def test_paused_queues_are_paused_before_their_jobs_come(pair: Pair) -> None:
    await add(pair.source, job(queue="files"), job(queue="mail"))
    await pair.source.pause("files", paused=True)
    assert (await pair.move()).paused == ["files"]
    assert [one.queue for one in await claim(pair.target)] == ["mail"]
    assert (await pair.move()).paused == [], "they are told once"


def told(name: str, seen: datetime, schedule: str = "0 3 * * *") -> Record:
    value = tick.Told(schedule=schedule, job="send", queue="mail", seen=to_us(seen), fired=None, next=to_us(later(999)))
    return Record(kind=tick.KIND, name=name, value=msgspec.json.encode(value).decode(), expires_at=later(9999))


async def test_rules_go_along_and_bounds_come_last(pair: Pair) -> None:
    weights = TenantRule(weight=3), TenantRule(weight=5)
    await rule(pair.source, "one", GateRule(running=1))
    await rule(pair.source, "t", weights[0])
    await rule(pair.target, "t", weights[1])
    await add(pair.source, *(job(queue="q", tenant="t", limits=("one:a",)) for _ in range(2)))
    await rule(pair.source, "q", QueueRule(most=1))
    await pair.move()
    assert {view.limits for view in await pair.target.page(EVERY, limit=MANY)} == {("one:a",)}
    for name, kept in (("one", GateRule(running=1)), ("q", QueueRule(most=1)), ("t", weights[1])):
        expected = record_of(name, kept)
        assert await pair.target.records(expected.kind, now=NOW) == [expected]
    assert len(await claim(pair.target)) == 1


async def test_what_was_paused_of_schedules_stays_so(pair: Pair) -> None:
    await pause(pair.source, "new", now=NOW)
    await pair.move()
    assert await pauses(pair.target, now=NOW) == await pauses(pair.source, now=NOW)


async def test_the_later_memory_of_a_schedule_wins(pair: Pair) -> None:
    here = [told("new", NOW), told("later", later(1)), told("earlier", NOW), told("changed", later(1), "0 4 * * *")]
    there = [told("later", NOW), told("earlier", later(1)), told("changed", NOW)]
    unreadable = Record(kind=tick.KIND, name="unreadable", value="{}")
    for store, records in ((pair.source, [*here, unreadable]), (pair.target, there)):
        for record in records:
            await store.put(record)
    assert (await pair.move()).schedules == ["later", "new"]
    expected = {one.name: one for one in (here[0], here[1], there[1], there[2])}
    assert {one.name: one for one in await pair.target.records(tick.KIND, now=NOW)} == expected
    assert (await pair.move()).schedules == []


async def test_nothing_of_the_mover_stays_behind(pair: Pair) -> None:
    await add(pair.source, job())
    await pair.move()
    for store in pair:
        assert await ids_of(store, Where(queues=(QUEUE,))) == []
        assert [await store.records(kind, now=NOW) for kind in (KIND, "moving to")] == [[], []]


async def test_one_store_on_both_sides_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")
    async with open_store(f"sqlite:///{tmp_path}/a.db") as a, open_store(f"sqlite:///{tmp_path}/b.db") as b:
        await add(a, job())
        with pytest.raises(ConfigError, match="both URLs name the same store"):
            await Pair(a, b).move()
        assert len(await ids_of(a)) == 1
        assert await a.records("moving to", now=NOW) == []


async def test_with_workers_on_both_sides_each_job_runs_once(tmp_path: Path) -> None:
    ran: list[int] = []

    async def note(_ctx: Ctx[None], number: int) -> None:
        ran.append(number)

    old, new = [App(f"sqlite:///{tmp_path}/{name}.db", settings=Settings()) for name in ("a", "b")]
    jobs = [app.job("note", keep_done=timedelta())(note) for app in (old, new)]
    async with old, new, old.worker(concurrency=2), new.worker(concurrency=2):
        await old.enqueue(jobs[0].draft(number) for number in range(2000))
        moved = await Mover(old.store, new.store).run(wait=timedelta(seconds=60))
        assert (moved.waiting, moved.running) == (0, 0)
        await new.work(until_idle=True)
    assert sorted(ran) == list(range(2000))
    assert moved.moved > 0
