"""Waits for jobs to end: however many are waited for, the store is asked about them together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from itertools import islice

from lamplighter.core.errors import JobCancelled, JobFailed, LamplighterError, UnknownJob
from lamplighter.core.model import ENDED, JobView, State, Where
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

POLL = 0.5  # seconds between looks while nothing wakes us
BREATH = 0.001  # seconds at least between looks: under load, every write wakes
MOST_TOGETHER = 500  # jobs in one look


def not_kept(job: str) -> UnknownJob:
    """The error about a job that is not in the store."""
    return UnknownJob(
        f"job {job} is not in the store: commit the transaction that adds it, or keep ended jobs for longer."
    )


def refuse_unless_done(view: JobView) -> None:
    """An ended job that was done has a result; any other has a reason.

    Raises:
        JobFailed: it failed for good.
        JobCancelled: it was cancelled.
    """
    if view.state is not State.DONE:
        kind = JobFailed if view.state is State.FAILED else JobCancelled
        raise kind(f"job {view.id} ({view.name}) is {view.state}: {view.reason or 'no reason was given'}")


class Results:
    """The jobs that someone waits for. Each event loop that waits has a watch of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watches: dict[asyncio.AbstractEventLoop, _Watch] = {}

    async def ended(self, job: str, timeout: float | None = None) -> JobView:
        """The job, once it has ended. `timeout`: seconds to wait; None waits for as long as it takes.

        Raises:
            TimeoutError: the time was over.
            UnknownJob: it is not kept (any longer).
        """
        if timeout is not None and timeout <= 0:  # a timeout that is over at once would not even look
            return await self._ended_already(job)
        async with asyncio.timeout(timeout):
            return await self._wait_for(job)

    async def _ended_already(self, job: str) -> JobView:
        found = await self._store.page(Where(ids=(job,)), limit=1)
        if not found:
            raise not_kept(job)
        if found[0].state not in ENDED:
            raise TimeoutError
        return found[0]

    async def _wait_for(self, job: str) -> JobView:
        loop = asyncio.get_running_loop()
        watch = self._watches.get(loop)
        if watch is None or watch.failed:
            watch = self._watches[loop] = _Watch(self._store)
        try:
            return await watch.ended(job)
        finally:
            if not watch.waiting:
                watch.close()
                if self._watches.get(loop) is watch:
                    del self._watches[loop]


class _Watch:
    """Looks at all that is waited for, each time something changed."""

    def __init__(self, store: Store) -> None:
        self.waiting: defaultdict[str, list[asyncio.Future[JobView]]] = defaultdict(list)
        self.failed = False
        self._store = store
        self._alarm = Alarm()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look_on())]

    async def ended(self, job: str) -> JobView:
        future: asyncio.Future[JobView] = asyncio.get_running_loop().create_future()
        self.waiting[job].append(future)
        self._alarm.ring()
        try:
            return await future
        finally:
            self.waiting[job].remove(future)
            if not self.waiting[job]:
                del self.waiting[job]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _listen(self) -> None:
        with suppress(LamplighterError):  # the looks meet the same error, and tell it to whoever waits
            async for _ in self._store.wake():
                self._alarm.ring()

    async def _look_on(self) -> None:
        try:
            while True:
                await self._look()
                if await self._alarm.sleep(POLL):
                    await asyncio.sleep(BREATH)
        except Exception as error:  # noqa: BLE001 - whatever it is, or they would wait for ever
            self.failed = True
            for future in [future for futures in self.waiting.values() for future in futures if not future.done()]:
                future.set_exception(error)

    async def _look(self) -> None:
        names = iter(list(self.waiting))
        while ids := tuple(islice(names, MOST_TOGETHER)):
            found = {view.id: view for view in await self._store.page(Where(ids=ids), limit=len(ids))}
            for job in ids:
                self._answer(job, found.get(job))

    def _answer(self, job: str, view: JobView | None) -> None:
        for future in self.waiting.get(job, ()):
            if future.done():
                continue
            if view is None:
                future.set_exception(not_kept(job))
            elif view.state in ENDED:
                future.set_result(view)
