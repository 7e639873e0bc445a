"""Moving jobs to another store: whole, once, however the move is interrupted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.services import STORES

from lamplighter import App, Ctx
from lamplighter.app.move import Duplicate, Moved, Mover
from lamplighter.app.parcel import KIND, LARGEST, QUEUE
from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.core.model import JobView, NewJob, Outcome, Record, State, Unique, UniqueMode, Where
from lamplighter.engine import tick
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import (
    EVERY,
    LEASE,
    MANY,
    NOW,
    add,
    claim,
    end,
    ended,
    failure,
    ids_of,
    job,
    later,
    see,
    started,
    unique,
)

AT_ONCE = timedelta()


class Named(MemoryStore):
    """A memory store with a URL of its own: the mover tells sources by them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    @property
    def url(self) -> str:
        return self._url


class Pair(NamedTuple):
    source: Store
    target: Store

    async def move(self, wait: timedelta = AT_ONCE, now: datetime = NOW) -> Moved:
        return await Mover(self.source, self.target, clock=lambda: now).run(wait=wait)


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


class Crash(Exception):
    """The mover's process ends here."""


class Fragile:
    """A store whose mover dies at the n-th call to either side, before it is done or after."""

    def __init__(self, store: Store, calls: Counter[str], dies_at: int, *, after: bool, between: Meddle) -> None:
        self._store = store
        self._calls = calls
        self._dies_at = dies_at
        self._after = after
        self._between = between

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return partial(self._call, found) if asyncio.iscoroutinefunction(found) else found

    async def _call(self, method: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        await self._between(method.__name__)
        self._calls["all"] += 1
        if self._calls["all"] == self._dies_at and not self._after:
            raise Crash
        answer = await method(*args, **named)
        if self._calls["all"] == self._dies_at:
            raise Crash
        return answer


Meddle = Callable[[str], Awaitable[None]]  # with the name of the call that comes next


async def nothing(_: str) -> None:
    return


async def interrupted(pair: Pair, dies_at: int, *, after: bool, between: Meddle = nothing) -> bool:
    """Whether a move died at that call."""
    calls: Counter[str] = Counter()
    fragile = [Fragile(store, calls, dies_at, after=after, between=between) for store in pair]
    try:
        await Pair(*fragile).move()
    except Crash:
        return True
    return False


@pytest.mark.parametrize("dies_in", ["cancel", "nothing"])
async def test_a_job_that_a_worker_takes_before_it_is_given_up_stays_with_it(dies_in: str) -> None:
    pair = Pair(Named("memory://a"), Named("memory://b"))
    first, second = await add(pair.source, job(), job())
    last = ""

    async def meddle(name: str) -> None:
        nonlocal last
        if last == dies_in == "cancel" and await pair.target.records(KIND, now=NOW):
            raise Crash
        if name == "cancel" and await pair.target.records(KIND, now=NOW) and not last:
            await claim(pair.source, 1)
            last = name

    assert await interrupted(pair, 999, after=True, between=meddle) == (dies_in == "cancel")
    moved = await pair.move()
    assert (moved.running, await ids_of(pair.source), await ids_of(pair.target)) == (1, [first], [second])


async def test_a_move_from_elsewhere_that_was_interrupted_must_be_finished_first() -> None:
    pair = Pair(Named("memory://a"), Named("memory://b"))
    await add(pair.source, job())
    for dies_at in range(1, 99):
        await interrupted(pair, dies_at, after=True)
        if await pair.target.records(KIND, now=NOW):
            break
    with pytest.raises(ConfigError, match="a move from memory://a to this target was interrupted: finish"):
        await Pair(Named("memory://c"), pair.target).move()
    assert (await pair.move()).moved == 1


async def test_a_note_that_cannot_be_read_is_left_where_it_is() -> None:
    pair = Pair(Named("memory://a"), Named("memory://b"))
    await pair.target.put(Record(kind=KIND, name="x", value='{"of":"the future"}'))
    with pytest.raises(StoreDamaged, match="the note x of jobs on their way cannot be read"):
        await pair.move()
    assert len(await pair.target.records(KIND, now=NOW)) == 1


class World:
    """A source and a target with a random past, and workers on both that count what they run."""

    def __init__(self, seed: int, pair: Pair | None = None) -> None:
        self.random = random.Random(seed)
        self.pair = pair or Pair(Named("memory://a"), Named("memory://b"))
        self.runs: Counter[str] = Counter()
        self.tried: set[str] = set()

    async def begin(self, jobs: int = 6) -> None:
        for store, least in ((self.pair.source, 4), (self.pair.target, 0)):
            for _ in range(self.random.randint(least, least + jobs)):
                await store.add([self._job()], now=NOW)
                if self.random.random() < 0.3:
                    await self._work(store, verbs=["retry", "snooze", "release", "done"], keep=None)
            if self.random.random() < 0.3:
                await store.pause("b", paused=True)
        self.before = {view.id: view for view in await self.pair.source.page(Where(states=WAIT), limit=MANY)}
        self.all = {*self.before, *await ids_of(self.pair.target, Where(states=WAIT))}
        self.runs.clear()
        self.tried.clear()

    def _job(self) -> NewJob:
        pick = self.random.choice
        modes: list[UniqueMode] = ["pending", "active", "period"]
        key, mode = pick([None, None, "k", "l", "m"]), pick(modes)
        until = later(pick([-1, 60])) if mode == "period" else None
        named = None if key is None else Unique(key, mode, until)
        return job(queue=pick("ab"), priority=pick([0, 10]), run_at=later(pick([-1, 0, 5, 90])), unique=named)

    async def _work(self, store: Store, verbs: list[Any], keep: datetime | None) -> None:
        for attempt in await claim(store, self.random.randint(1, 3)):
            verb = self.random.choice(verbs)
            self.runs[attempt.id] += verb == "done"
            self.tried.add(attempt.id)
            again = later(3) if verb in {"retry", "snooze"} else None
            ends = Outcome(id=attempt.id, fence=attempt.fence, verb=verb, run_at=again, keep_until=keep)
            await store.finish([ends], now=NOW)

    async def meddle(self, _: str) -> None:
        """What workers do between two calls of the mover."""
        if self.random.random() < 0.3:
            await self._work(self.random.choice(self.pair), verbs=["done", "retry", "release"], keep=later(99))

    async def work_and_forget(self) -> None:
        """What workers do while nobody moves, if they keep no job that is done."""
        for store in self.pair:
            await self._work(store, verbs=["done"], keep=NOW)

    async def check(self) -> None:
        moved = await self.pair.move()
        assert moved.running == moved.waiting == 0
        there = {view.id: view for view in await self.pair.target.page(Where(states=WAIT), limit=MANY)}
        assert await ids_of(self.pair.source, Where(states=LIVE)) == []
        for id_ in self.all:
            times = self.runs[id_] + (id_ in there)
            assert times == 1 or self._may_differ(id_, times), f"{id_} is there or was run {times} times"
        for id_, view in there.items():
            self._is_whole(view, self.before.get(id_))
        for view in there.values():
            if view.unique and not over(view):
                [refused] = await self.pair.target.add([job(unique=Unique(view.unique.key))], now=NOW)
                assert not refused.created, f"{view.unique.key} should be held"
        for store in self.pair:
            assert await ids_of(store, Where(queues=(QUEUE,))) == []
            assert await store.records(KIND, now=NOW) == []

    def _may_differ(self, id_: str, times: int) -> bool:
        """A job that never ran may be dropped if its key is held; a retry under a key may, in one corner, run twice."""
        before = self.before.get(id_)
        if before is None or before.unique is None:
            return False
        return times == 0 if not came_back(before) else times == 2

    def _is_whole(self, after: JobView, before: JobView | None) -> None:
        assert after.state is (State.QUEUED if after.run_at <= NOW else State.SCHEDULED)
        if before is None or after.id in self.tried:
            return
        kept = ("name", "queue", "tenant", "priority", "created_at", "args", "crashes")
        assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
        assert after.unique in ([before.unique, None] if came_back(before) else [before.unique])


def came_back(view: JobView) -> bool:
    """Whether it may live beside whoever holds its key."""
    return view.fence > 0 or over(view)


def over(view: JobView) -> bool:
    """Whether the period of its key is over."""
    return view.unique is not None and view.unique.until is not None and view.unique.until <= NOW


LIVE = (State.QUEUED, State.SCHEDULED, State.RUNNING)
WAIT = (State.QUEUED, State.SCHEDULED)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("seed", range(8))
async def test_wherever_a_move_is_interrupted_every_job_is_kept_once(seed: int, after: bool) -> None:
    """Between the two moves, workers run some of the jobs on either side, and forget them at once."""
    for dies_at in range(1, 200):
        world = World(seed)
        await world.begin()
        died = await interrupted(world.pair, dies_at, after=after)
        await world.work_and_forget()
        await world.check()
        if not died:
            assert dies_at > 15
            return


@pytest.mark.parametrize("seed", range(60))
async def test_workers_that_run_jobs_amid_interrupted_moves_run_each_once(seed: int) -> None:
    world = World(seed)
    await world.begin(jobs=40)
    for _ in range(4):
        await interrupted(world.pair, world.random.randint(1, 30), after=seed % 2 == 0, between=world.meddle)
    await world.check()


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


@pytest.mark.parametrize(("source", "target"), list(permutations(["sqlite", "postgres", "redis", "redis cluster"], 2)))
async def test_jobs_move_between_every_two_stores_once(
    source: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    urls = [request.getfixturevalue(STORES[name]) for name in (source, target)]
    async with open_store(urls[0]) as giving, open_store(urls[1]) as getting:
        world = World(7, Pair(giving, getting))
        await world.begin(jobs=40)
        for dies_at in (13, 15, 16, 17, 30):
            await interrupted(world.pair, dies_at, after=True, between=world.meddle)
        await world.check()
        assert await recounted(giving)
        assert await recounted(getting)


async def recounted(store: Store) -> bool:
    """Whether the counts are those of the jobs."""
    views = await store.page(EVERY, limit=MANY)
    counted = {(one.queue, state): getattr(one, state) for one in await store.stats() for state in State}
    return Counter((view.queue, view.state) for view in views) == Counter(counted)
