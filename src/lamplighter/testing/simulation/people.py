"""Who uses the store beside the workers: processes that add jobs, and an operator."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from lamplighter.core.model import State, Where
from lamplighter.engine.patience import until_available
from lamplighter.testing.simulation.world import World
from lamplighter.testing.verify.jobs import Jobs, Recorder, add_until_answered, opened
from lamplighter.testing.verify.tasks import QUEUES, Task, task

KEPT = timedelta(days=1)
RANGE = 4  # of so many tasks one is taken
TELLING = {"long", "chain", "period"}
LONGEST_PAUSE = 3.0  # seconds that a queue stands still

_NO_THREADS = {"thread", "block"}


def workload(world: World, many: int) -> list[Task]:
    """Tasks of all kinds that need no thread, in the order of their numbers: those with the most to tell, and others
    by chance."""
    tasks = [task(world.seed, number, world.weather.lease) for number in range(RANGE * many)]
    first = [one for one in tasks if one.kind in TELLING]
    others = [one for one in tasks if one.kind not in TELLING and one.kind not in _NO_THREADS]
    taken = first[: many // 2] + world.dice("workload").sample(others, many - min(len(first), many // 2))
    return sorted(taken, key=lambda one: one.number)


class Enqueuer:
    """Adds tasks, each until the store has answered."""

    def __init__(self, world: World, name: str, tasks: list[Task]) -> None:
        self._world = world
        self._dice: random.Random = world.dice(name)
        self._tasks = tasks
        self._journal = world.chronicle.journal(name)
        remote = world.remote(name)
        recorder = Recorder(self._journal, {}, world.seed, world.weather.lease)
        self._jobs = Jobs(remote.as_store, recorder, clock=world.clock(name))

    async def run(self, lasts: float) -> None:
        """Add them all, spread over so many seconds."""
        async with opened(self._jobs.app):
            for one in self._tasks:
                await asyncio.sleep(self._dice.uniform(0, 2 * lasts / len(self._tasks)))
                await add_until_answered(self._jobs.app, self._journal, one.number, 0, self._jobs.draft(one))


class Operator:
    """Cancels jobs, lets failed ones run again, and stops queues for a while."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice: random.Random = world.dice("operator")
        self._journal = world.chronicle.journal("operator")
        self._store = world.remote("operator").as_store

    async def run(self, lasts: float) -> None:
        """Meddle for so many seconds."""
        over = self._world.loop.time() + lasts
        while self._world.loop.time() < over:
            await asyncio.sleep(self._dice.expovariate(0.5))
            act = self._dice.choice((self._cancel, self._cancel, self._retry, self._pause))
            await until_available(act, "act")

    async def _cancel(self) -> None:
        known = [line.job for line in self._world.chronicle.lines if line.what == "added"]
        if not known:
            return
        job = self._dice.choice(known[-10:])
        self._journal.write(self._journal.line("unwanted", job))
        now = self._world.chronicle.now()
        await self._store.cancel(Where(ids=(job,)), limit=1, now=now, keep_until=now + KEPT)

    async def _retry(self) -> None:
        await self._store.retry(Where(states=(State.FAILED,)), limit=3, now=self._world.chronicle.now())

    async def _pause(self) -> None:
        queue = self._dice.choice(QUEUES)
        await self._store.pause(queue, paused=True)
        await asyncio.sleep(self._dice.uniform(0, LONGEST_PAUSE))
        await until_available(lambda: self._store.pause(queue, paused=False), "let the queue go on")
