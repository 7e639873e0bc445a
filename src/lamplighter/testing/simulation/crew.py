"""Worker processes, and what can befall them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import msgspec

from lamplighter.app import App
from lamplighter.engine.aside import Work
from lamplighter.engine.worker import Worker, WorkerOptions
from lamplighter.testing.simulation.loop import PROCESS
from lamplighter.testing.simulation.world import World
from lamplighter.testing.verify.jobs import Jobs, Recorder, opened


class InTask:
    """Renews leases in a task that counts as a thread: it has turns while its worker's loop has none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Work) -> None:
        context = copy_context()
        context.run(PROCESS.set, self._name)
        self._task = asyncio.get_running_loop().create_task(work(), context=context)

    async def ended(self, patience: float) -> None:
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)


class Process:
    """One worker from its start to its end."""

    def __init__(self, world: World, name: str, *, crons: bool) -> None:
        self.name = name
        self._world = world
        self._crons = crons
        self._to_stop = asyncio.Event()
        self._asked = False
        self.task = world.loop.spawn(name, self._work())

    @property
    def ended_alone(self) -> bool:
        """Whether it ended though nobody had asked for that."""
        return self.task.done() and (not self._asked or self.task.exception() is not None)

    def stop(self) -> None:
        """Tell it to stop."""
        self._asked = True
        self._to_stop.set()

    def freeze(self, *, aside: bool = True) -> None:
        """Let it stand still, with the renewal of its leases or without."""
        self._each(self._world.loop.freeze, aside=aside)

    def thaw(self) -> None:
        """Let it go on."""
        self._each(self._world.loop.thaw, aside=True)

    def _each(self, act: Callable[[str], None], *, aside: bool) -> None:
        act(self.name)
        if aside:
            act(_aside(self.name))

    async def _work(self) -> None:
        world = self._world
        remote = world.remote(self.name)
        recorder = Recorder(world.chronicle.journal(self.name), remote.fences, world.seed, world.weather.lease)
        clock = world.clock(self.name)
        jobs = Jobs(remote.as_store, recorder, clock=clock, crons=self._crons, app=_app_of(self.name))
        lease, grace = timedelta(seconds=world.weather.lease), timedelta(seconds=world.weather.grace)
        async with (
            opened(jobs.app),
            jobs.app.worker(concurrency=world.weather.concurrency, lease=lease, grace=grace) as worker,
        ):
            await self._until_stopped(worker)

    async def _until_stopped(self, worker: Worker) -> None:
        """Until it is told to; or until the worker itself had to."""
        told = asyncio.create_task(self._to_stop.wait())
        ended = asyncio.create_task(worker.stopped())
        try:
            await asyncio.wait([told, ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            ended.cancel()


class Crew:
    """The workers that are there, and those that were."""

    def __init__(self, world: World) -> None:
        self.here: list[Process] = []
        self.gone: list[Process] = []
        """Those that were told to stop."""
        self.ended_alone: list[str] = []
        self._dead: list[Process] = []
        self._world = world
        self._started = 0

    def start(self, *, crons: bool = True) -> Process:
        """One more worker."""
        self._started += 1
        process = Process(self._world, f"w{self._started}", crons=crons)
        self.here.append(process)
        return process

    def crash(self, process: Process) -> None:
        """It is gone at once. What it had sent to the store arrives all the same."""
        self._take(process, self._dead)
        process.freeze()
        self._world.network.dead.add(process.name)

    def leave(self, process: Process) -> None:
        """It is told to stop."""
        self._take(process, self.gone)
        self._world.chronicle.left[process.name] = self._world.loop.time()
        process.stop()

    async def all_leave(self) -> None:
        """Tell those that are here to stop, and wait until they have."""
        for process in tuple(self.here):
            self.leave(process)
        await asyncio.wait([process.task for process in self.gone])
        self.ended_alone += [process.name for process in self.gone if process.ended_alone]

    async def bury(self) -> None:
        """Let the tasks of crashed ones end, which have no say any more: a run must leave nothing behind."""
        for process in self._dead:
            process.thaw()
            process.task.cancel()
        if self._dead:
            await asyncio.wait([process.task for process in self._dead])

    def _take(self, process: Process, to: list[Process]) -> None:
        self.here.remove(process)
        if process.ended_alone:
            self.ended_alone.append(process.name)
        to.append(process)


def _aside(name: str) -> str:
    return f"{name} aside"


def _app_of(name: str) -> Callable[..., App[Recorder]]:
    def make(*args: Any, **options: Any) -> App[Recorder]:
        return _SimulatedApp(name, *args, **options)

    return make


class _SimulatedApp(App[Recorder]):
    """An app whose workers have a given name, and no thread; and no history, which is not what is simulated."""

    def __init__(self, name: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._name = name

    def _worker_options(self, *args: Any) -> WorkerOptions:
        options = super()._worker_options(*args)
        return msgspec.structs.replace(options, name=self._name, aside=lambda: InTask(_aside(self._name)))

    @asynccontextmanager
    async def _watched(self, worker: Worker) -> AsyncIterator[None]:  # noqa: ARG002 - as the app has it
        yield
