"""What an operator sees of schedules, and does with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice
from types import MappingProxyType

from msgspec import Struct

from lamplighter.core.clock import Clock, from_us, maybe_from_us
from lamplighter.core.cron import read_schedule, slots_after
from lamplighter.core.errors import UnknownSchedule
from lamplighter.engine import pause, tick
from lamplighter.engine.tick import Entry, Told
from lamplighter.store.base import Store

NONE: Mapping[str, Entry] = MappingProxyType({})


class CronView(Struct, frozen=True, kw_only=True):
    """A schedule as people see it: which job it makes in which queue, when it last did, and when it would next.

    `comes`: the slots that are next; none where its text is another version's. `paused_since`: it makes no job since.
    `held_by`: the job that kept the last slot from becoming one.
    """

    name: str
    schedule: str
    job: str
    queue: str
    last_at: datetime | None
    comes: tuple[datetime, ...]
    paused_since: datetime | None
    held_by: str | None


class Crons:
    """The schedules on a store: `app.crons`. `entries`: an app's own, which are there before a worker tells of them."""

    def __init__(self, store: Store, clock: Clock, entries: Mapping[str, Entry] = NONE) -> None:
        self._store = store
        self._clock = clock
        self._entries = entries

    async def look(self, *, slots: int = 1) -> list[CronView]:
        """All of them by name, each with so many of the slots that come next."""
        now = self._clock()
        told = {name: tick.tell(entry, now) for name, entry in self._entries.items()} | await self._told(now)
        paused = await pause.pauses(self._store, now=now)
        return [_view(name, one, paused.get(name), now, slots) for name, one in sorted(told.items())]

    async def pause(self, name: str) -> None:
        """Let its slots pass, until it is resumed.

        Raises:
            UnknownSchedule: there is none of that name.
        """
        await self.must_be_there(name)
        await pause.pause(self._store, name, now=self._clock())

    async def resume(self, name: str) -> None:
        """Let it go on; slots that have passed are not made up for. Raises what `pause` does."""
        await self.must_be_there(name)
        await pause.resume(self._store, name, now=self._clock())

    async def must_be_there(self, name: str) -> None:
        """Raises UnknownSchedule unless there is one of that name."""
        if name not in self._entries and name not in await self._told(self._clock()):
            raise UnknownSchedule(f"no worker has had a schedule {name!r:.60}: list schedules to find their names.")

    async def _told(self, now: datetime) -> dict[str, Told]:
        """What workers tell."""
        records = await self._store.records(tick.KIND, now=now)
        return {one.name: read for one in records if (read := tick.read_told(one)) is not None}


async def overdue(store: Store, *, now: datetime) -> dict[str, timedelta]:
    """How long ago the next slot of each schedule passed, and no worker has looked at it since.

    Nothing where it is yet to come, or the schedule is paused.
    """
    paused = {name for name, one in (await pause.pauses(store, now=now)).items() if one.until is None}
    records = await store.records(tick.KIND, now=now)
    told = {one.name: read for one in records if (read := tick.read_told(one)) is not None}
    return {
        name: timedelta() if name in paused else max(timedelta(), now - from_us(one.next))
        for name, one in sorted(told.items())
    }


def _view(name: str, told: Told, paused: pause.Pause | None, now: datetime, slots: int) -> CronView:
    schedule = read_schedule(told.schedule)
    return CronView(
        name=name,
        schedule=told.schedule,
        job=told.job,
        queue=told.queue,
        last_at=maybe_from_us(told.fired),
        comes=() if schedule is None else tuple(islice(slots_after(schedule, now), slots)),
        paused_since=from_us(paused.since) if paused is not None and paused.until is None else None,
        held_by=told.held_by,
    )
