"""Writes down what this process did, every ten seconds; one of all that do so adds it up for everybody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

from lamplighter.core.clock import Clock
from lamplighter.core.errors import StoreError
from lamplighter.core.model import Record
from lamplighter.observe.history.since import Since
from lamplighter.observe.history.slot import Slot, closed, levels_of, total, write
from lamplighter.observe.history.steps import LEVELS, PARTS, Step, record_of, slots_of, sums
from lamplighter.store.base import Store

MERGER = "history.merger"  # the kind and name of the record that says who adds up
TERM = timedelta(seconds=25)  # how long whoever added up is left to do it again
SOON = 30  # seconds until which nothing is forgotten that a sum is made of
AT_LAST = 2.0  # seconds for the last part: a store that hangs must not keep a worker from ending
MOST_PENDING = 20  # parts that the store did not take yet: older ones would come too late to be added

_log = logging.getLogger("lamplighter.history")


class Recorder:
    """For one process; `name` is its own, and no other's ever."""

    def __init__(self, store: Store, clock: Clock, since: Since, *, name: str) -> None:
        self._store = store
        self._clock = clock
        self._since = since
        self._name = name
        self._written = 0
        self._pending: list[Record] = []
        self._merges = False
        self._made: dict[Step, dict[str, str]] = {}  # the newest sums, by the names of their records
        self._added_up: dict[Step, float] = {}

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Write for as long as the block lasts, and then the rest."""
        task = asyncio.create_task(self._run(), name="lamplighter-history")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._tried(asyncio.wait_for(self.close(), AT_LAST))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PARTS.seconds - self._clock().timestamp() % PARTS.seconds)
            await self._tried(self.turn())

    async def _tried(self, step: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong here, no job has to suffer for it."""
        try:
            await step
        except (StoreError, TimeoutError) as error:
            _log.debug("What was done cannot be written down for now: %s", error)
        except Exception:  # noqa: BLE001 - as it says
            _log.exception("What was done cannot be written down.")

    async def turn(self) -> None:
        """Write what was done in the slot that has just ended, and add up if that is for us to do.

        Raises:
            StoreError: the store failed; what it did not take is written the next time.
        """
        came, just = self._since.take(), self._clock().timestamp() - PARTS.seconds / 2
        try:
            if await self._is_merger():
                came = total([came, levels_of(await self._store.stats())])
        finally:
            self._note(came, PARTS.begin(just))
        await self._write()
        if self._merges:
            await self._add_up()

    async def close(self) -> None:
        """Write the rest. If nobody else adds up, nobody may for long: then all is added up now.

        Raises:
            StoreError: the store failed.
        """
        self._note(self._since.take(), PARTS.begin(self._clock().timestamp()))
        if not self._pending and not self._merges:
            return
        await self._write()
        if await self._is_merger():
            self._added_up.clear()
            await self._add_up()
            await self._store.drop(MERGER, MERGER)

    def _note(self, came: Slot, begin: int) -> None:
        """A part has a name of its own: none is ever written over, and so none is ever lost or counted twice."""
        if came:
            self._written += 1
            text = write(closed(came, begin + PARTS.seconds))
            self._pending.append(record_of(PARTS, begin, text, of=f"{self._name} {self._written}"))
            del self._pending[:-MOST_PENDING]

    async def _write(self) -> None:
        while self._pending:
            await self._store.put(self._pending[0])
            del self._pending[0]

    async def _is_merger(self) -> bool:
        """Whoever finds nobody doing it does it. Two that both find nobody make the same sums."""
        now = self._clock()
        others = [one for one in await self._store.records(MERGER, now=now) if one.value != self._name]
        self._merges = not others
        if self._merges:
            await self._store.put(Record(kind=MERGER, name=MERGER, value=self._name, expires_at=now + TERM))
        else:
            self._added_up.clear()
            self._made.clear()
        return self._merges

    async def _add_up(self) -> None:
        at = self._clock().timestamp()
        for fine, coarse, every in LEVELS:
            if self._added_up.get(coarse, 0) <= at - every:
                self._added_up[coarse] = at // every * every
                await self._make(fine, coarse, at, at - PARTS.kept - every)

    async def _make(self, fine: Step, coarse: Step, at: float, settled: float) -> None:
        """Make anew all sums of which nothing is forgotten yet, nor soon will be, and write those that came out new.

        After the first time only of what is not `settled`: of what is older no part came since the last time.
        """
        now, known = self._clock(), self._made.get(coarse)
        since = coarse.begin(at - fine.kept + SOON) + coarse.seconds
        if known is None:
            known = {record.name: record.value for record in await self._store.records(coarse.kind, now=now)}
        else:
            since = max(since, coarse.begin(settled))
        slots = slots_of(await self._store.records(fine.kind, now=now), since=since)
        records = [record_of(coarse, begin, write(slot)) for begin, slot in sums(slots, coarse.seconds).items()]
        for record in records:
            if known.get(record.name) != record.value:
                await self._store.put(record)
        self._made[coarse] = {record.name: record.value for record in records}
