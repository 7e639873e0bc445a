"""Moves that are interrupted, at every call, with workers on both sides: every job is kept, once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from tests.app.moving import Named, Pair
from tests.services import STORES

from lamplighter.app.parcel import KIND, QUEUE
from lamplighter.core.errors import ConfigError, StoreDamaged
from lamplighter.core.model import JobView, NewJob, Outcome, Record, State, Unique, UniqueMode, Where
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing.conformance._make import EVERY, MANY, NOW, add, claim, ids_of, job, later

WAIT = (State.QUEUED, State.SCHEDULED)
LIVE = (*WAIT, State.RUNNING)


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
