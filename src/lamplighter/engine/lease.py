"""Renews the leases of running jobs, from a thread of its own: a handler that blocks the loop must not lose them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from lamplighter.core.clock import Clock
from lamplighter.core.errors import LamplighterError
from lamplighter.core.model import Beat, Record
from lamplighter.engine.run import Run
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

LONGEST_INTERVAL = 3.0  # seconds between beats: it is also how soon a worker learns that a job was cancelled
KIND = "worker"  # of the records that tell which workers are alive

_log = logging.getLogger("lamplighter.worker")


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells of itself, as a record that expires unless it is renewed. Moments are ISO texts in UTC."""

    host: str
    pid: int
    started_at: str
    beat_at: str
    claimed_at: str | None
    queues: Sequence[str]
    concurrency: int
    running: int
    stopping: bool


class Keeper:
    """The thread that beats. `runs` lists what runs now; `stop` and `lost` are called, on its thread, with job ids."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        worker: str,
        lease: timedelta,
        runs: Callable[[], list[Run]],
        presence: Callable[[], Presence],
        stop: Callable[[list[str]], object],
        lost: Callable[[list[str]], object],
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._lease = lease
        self._interval = min(lease.total_seconds() / 3, LONGEST_INTERVAL)
        self._runs = runs
        self._presence = presence
        self._stop = stop
        self._lost = lost
        self._alarm = Alarm()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="lamplighter-leases", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def close(self) -> None:
        """Beat no more, and take the worker's presence back; returns when that is done."""
        self._closing = True
        self._alarm.ring()
        self._thread.join()

    def _serve(self) -> None:
        asyncio.run(self._beat_on())

    async def _beat_on(self) -> None:
        told = False
        while not self._closing:
            try:
                await self._beat()
                told = False
            except LamplighterError as error:
                if not told:
                    _log.warning("Cannot renew leases for now, trying on: %s", error)
                told = True
            await self._alarm.sleep(self._interval)
        try:
            await self._store.drop(KIND, self._worker)
        except LamplighterError as error:
            _log.info("Could not take back the worker's record, so it will expire: %s", error)

    async def _beat(self) -> None:
        now = self._clock()
        text = msgspec.json.encode(self._presence()).decode()
        await self._store.put(Record(kind=KIND, name=self._worker, value=text, expires_at=now + 3 * self._lease))
        beats = [self._beat_of(run) for run in self._runs() if not self._is_given_up(run)]
        if not beats:
            return
        beaten = await self._store.beat(beats, lease=self._lease, now=self._clock())
        if beaten.stop:
            self._stop(beaten.stop)
        if beaten.lost:
            self._lost(beaten.lost)

    def _beat_of(self, run: Run) -> Beat:
        return Beat(run.job.id, run.job.fence, run.ctx.take_progress())

    def _is_given_up(self, run: Run) -> bool:
        """Whether it runs on long after its timeout: then its lease may run out, or the job would be held for ever."""
        return run.last_renewal is not None and self._clock() > run.last_renewal + self._lease
