"""Looks at the store for all who listen to events: once for all, when it hints at news, and once a second at most."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from fastapi import Request

from lamplighter.core.errors import LamplighterError
from lamplighter.core.model import JobView, QueueStats, Where
from lamplighter.engine.listen import listen
from lamplighter.engine.patience import until_available
from lamplighter.store.base import Store
from lamplighter.web.given import given

MOST = 100  # who listen at once, to one process
MOST_OF_ONE = 10  # of one caller: nobody takes the places of all
AT_MOST_EVERY = 1.0  # seconds between two looks
AT_LEAST_EVERY = 5.0  # a store's hints are no promise
PROGRESS_EVERY = 1.0  # while somebody follows a job: its progress is no news that a store hints at

Watches = WeakKeyDictionary[asyncio.AbstractEventLoop, "Watch"]


class TooManyListen(LamplighterError):
    """There is no place for another who listens."""


class Watch:
    """What is known of queues, and of jobs that somebody follows (None: not kept). It looks from the first who listens
    until the last has gone.

    `version` goes up with each change. Who is slow misses versions, never the last: nothing is kept for anybody.
    """

    def __init__(self, store: Store) -> None:
        self.version = 0
        self.queues: Mapping[str, QueueStats] = {}
        self.jobs: Mapping[str, JobView | None] = {}
        self._store = store
        self._listening: Counter[str] = Counter()
        self._followed: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_looking(self) -> bool:
        """Whether anybody listens."""
        return self._looking is not None and not self._looking.done()

    def enter(self, user_id: str) -> None:
        """Take a place, to be left with `leave`.

        Raises:
            TooManyListen: all are taken, or this caller has its share of them.
        """
        if self._listening.total() >= MOST or self._listening[user_id] >= MOST_OF_ONE:
            raise TooManyListen("too many listen already: close other windows, or try again later.")
        self._listening[user_id] += 1
        if not self.is_looking:
            self._looking = asyncio.create_task(self._look_on(), name="lamplighter-watch")

    def leave(self, user_id: str) -> None:
        """Give the place back."""
        self._listening[user_id] -= 1
        self._listening += Counter()  # without those at zero
        if not self._listening and self._looking is not None:
            self._looking.cancel()
            self._looking = None  # or who comes before it has ended would see nothing

    @contextmanager
    def following(self, job: str) -> Iterator[None]:
        """Have `jobs` tell of that one."""
        self._followed[job] += 1
        try:
            yield
        finally:
            self._followed[job] -= 1
            self._followed += Counter()

    async def newer_than(self, version: int, *, within: float) -> bool:
        """Wait until there is more than that, but no longer than so many seconds; whether there is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.version <= version:
                    await self._news.wait()
        return self.version > version

    async def _look_on(self) -> None:
        hinted = asyncio.Event()
        listening = asyncio.create_task(listen(self._store, hinted.set))
        try:
            while True:
                hinted.clear()
                await until_available(self._look, "see how queues stand")
                await asyncio.sleep(AT_MOST_EVERY)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROGRESS_EVERY if self._followed else AT_LEAST_EVERY):
                        await hinted.wait()
        finally:
            listening.cancel()

    async def _look(self) -> None:
        queues = {one.queue: one for one in await self._store.stats()}
        jobs = await self._look_at_jobs()
        if not self.version or (queues, jobs) != (self.queues, self.jobs):
            self.queues, self.jobs = queues, jobs
            self.version += 1
            self._news.set()
            self._news = asyncio.Event()

    async def _look_at_jobs(self) -> dict[str, JobView | None]:
        ids = tuple(self._followed)
        found = {one.id: one for one in await self._store.page(Where(ids=ids), limit=len(ids))} if ids else {}
        return {one: found.get(one) for one in ids}


def watch_of(request: Request) -> Watch:
    """That of this API and event loop."""
    watches: Watches = request.app.state.watches
    loop = asyncio.get_running_loop()
    if loop not in watches:
        watches[loop] = Watch(given(request).app.store)
    return watches[loop]
