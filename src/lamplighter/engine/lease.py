"""Renews the leases of running jobs, and keeps what they log, aside from the loop: a handler that blocks that must not
lose them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from lamplighter.core.clock import Clock
from lamplighter.core.errors import LamplighterError
from lamplighter.core.model import Beat, Beaten, Record
from lamplighter.engine.aside import Aside
from lamplighter.engine.logbook import Logbook
from lamplighter.engine.run import Run
from lamplighter.engine.timekeeping import keep_time
from lamplighter.store.alarm import Alarm
from lamplighter.store.base import Store

LONGEST_INTERVAL = 3.0  # seconds between beats: it is also how soon a worker learns that a job was cancelled
LEASES_REMEMBERED = 3  # a worker that does not beat any more is on record for so many leases
MOST_TOLD = 20  # running jobs that a worker names
KIND = "worker"  # of the records that tell which workers are alive

_log = logging.getLogger("lamplighter.worker")


def beat_interval(lease: timedelta) -> float:
    """Seconds between two beats: a lease outlives two that fail."""
    return min(lease.total_seconds() / 3, LONGEST_INTERVAL)


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells of itself, as a record that expires unless it is renewed. Moments are ISO texts in UTC.

    `jobs`: the ids of some that run, the oldest first.
    """

    host: str
    pid: int
    started_at: str
    beat_at: str
    claimed_at: str | None
    queues: Sequence[str]
    concurrency: int
    running: int
    stopping: bool
    jobs: Sequence[str] = ()


class Keeper:
    """Beats, in the thread that `aside` is.

    `runs` lists what runs now, oldest first; `stop` and `lost` are called, in that thread, with those that were asked
    to stop, and those whose lease is someone else's.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        worker: str,
        lease: timedelta,
        logbook: Logbook,
        runs: Callable[[], list[Run]],
        presence: Callable[[], Presence],
        stop: Callable[[list[Run]], object],
        lost: Callable[[list[Run]], object],
        aside: Aside,
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._lease = lease
        self._interval = beat_interval(lease)
        self._logbook = logbook
        self._runs = runs
        self._presence = presence
        self._stop = stop
        self._lost = lost
        self._alarm = Alarm()
        self._closing = False
        self._aside = aside

    def start(self) -> None:
        """Begin to beat."""
        self._aside.start(self._beat_on)

    def close(self) -> None:
        """Beat no more, and take the worker's presence back."""
        self._closing = True
        self._alarm.ring()

    async def ended(self) -> None:
        """Wait until that is done. Not for ever: a store that hangs must not keep the worker from ending."""
        await self._aside.ended(self._lease.total_seconds())

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
            except Exception:  # noqa: BLE001 - or every job of this worker would be taken for abandoned
                _log.exception("Renewing leases failed: it is tried on.")
            if not self._closing:
                await self._alarm.sleep(self._interval)
        try:
            await self._store.drop(KIND, self._worker)
        except LamplighterError as error:
            _log.info("Could not take back the worker's record, so it will expire: %s", error)

    async def _beat(self) -> None:
        await keep_time(self._clock, self._store)
        now = self._clock()
        text = msgspec.json.encode(self._presence()).decode()
        expires_at = now + LEASES_REMEMBERED * self._lease
        await self._store.put(Record(kind=KIND, name=self._worker, value=text, expires_at=expires_at))
        runs = [run for run in self._runs() if not run.lost and not self._is_given_up(run)]
        if not runs:
            return
        beaten = await self._beat_for(runs)
        if beaten.stop:
            newest = {run.job.id: run for run in runs}
            self._stop([newest[job] for job in beaten.stop])
        if beaten.lost:  # of two attempts at one job, which this worker lost and got again, only the older is lost
            oldest = {run.job.id: run for run in reversed(runs)}
            self._lost([oldest[job] for job in beaten.lost])
        await self._keep_logs(runs)

    async def _keep_logs(self, runs: list[Run]) -> None:
        """As far as there is time: what is much must not delay the next beat. What is not kept now waits."""
        with contextlib.suppress(TimeoutError, LamplighterError):
            async with asyncio.timeout(self._interval / 2):
                await self._logbook.write(runs)

    async def _beat_for(self, runs: list[Run]) -> Beaten:
        beats = [Beat(run.job.id, run.job.fence, run.ctx.take_progress()) for run in runs]
        try:
            return await self._store.beat(beats, lease=self._lease, now=self._clock())
        except BaseException:
            for run, beat in zip(runs, beats, strict=True):
                run.ctx.put_back(beat.progress)
            raise

    def _is_given_up(self, run: Run) -> bool:
        """Whether it runs on long after its timeout: then its lease may run out, or the job would be held for ever."""
        return run.last_renewal is not None and self._clock() > run.last_renewal + self._lease
