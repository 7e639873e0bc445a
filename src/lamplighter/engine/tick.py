"""Turns the slots of schedules into jobs. Every worker does it, without a leader: one slot is one job all the same."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from lamplighter.core.clock import Clock, from_us, to_us
from lamplighter.core.cron import Misfire, Schedule, slots_to_fire
from lamplighter.core.draft import Draft
from lamplighter.core.errors import QueueFull
from lamplighter.core.model import Added, NewJob, Record, Unique
from lamplighter.engine.patience import until_available
from lamplighter.engine.pause import Pause, pauses
from lamplighter.store.base import Store

KIND = "cron"  # of the records that tell each schedule's last slot
LONGEST_NAP = 30.0  # seconds: the wall clock may be set while we sleep
GRACE = timedelta(minutes=1)  # a slot that is older was missed
REMEMBERED = timedelta(days=30)  # how long a schedule that nobody has any more keeps its last slot
SLOT_HELD = timedelta(days=1)  # how long a slot stays taken, for schedulers whose clocks differ

_log = logging.getLogger("lamplighter.worker")


class Entry(Struct, frozen=True, kw_only=True):
    """One schedule of an app."""

    name: str
    schedule: Schedule
    draft: Draft[Any]
    misfire: Misfire


class Told(Struct, frozen=True, kw_only=True):
    """What the record of a schedule holds; moments in microseconds since 1970.

    `seen`: up to when its slots were looked at; `fired`: the last of them that was to become a job, if one was;
    `held_by`: the job that kept it from that, by holding the unique key that is the schedule's own.
    """

    schedule: str
    job: str
    queue: str
    seen: int
    fired: int | None
    next: int
    held_by: str | None = None


class Ticker:
    """Fires the schedules of one app, as long as `run` runs."""

    def __init__(
        self, store: Store, clock: Clock, entries: Sequence[Entry], fired: Callable[[Entry, list[NewJob]], None]
    ) -> None:
        self.has_ticked = False
        """Whether every schedule was looked at once: until then, what they missed may still become jobs."""
        self._store = store
        self._clock = clock
        self._entries = {entry.name: entry for entry in entries}
        self._fired = fired

    async def run(self) -> None:
        """Fire each slot when it comes, for ever."""
        if not self._entries:
            self.has_ticked = True
            return
        while True:
            next_at = await until_available(self.tick, "fire schedules")
            self.has_ticked = True
            wait = (next_at - self._clock()).total_seconds()
            await asyncio.sleep(max(0.0, min(LONGEST_NAP, wait)))

    async def tick(self) -> datetime:
        """Fire every slot that has come; returns when the next will."""
        now = self._clock()
        known = {record.name: record for record in await self._store.records(KIND, now=now)}
        paused = await pauses(self._store, now=now)
        moments = [
            await self._tick_one(entry, known.get(name), paused.get(name), now) for name, entry in self._entries.items()
        ]
        return min(moments)

    async def _tick_one(self, entry: Entry, record: Record | None, pause: Pause | None, now: datetime) -> datetime:
        told = None if record is None else read_told(record)
        held_by = None if told is None else told.held_by
        since = _since(entry, told, now)
        if pause is not None:
            since = min(now, max(since, pause.starts_at(now)))
        slots = slots_to_fire(entry.schedule, since, now, entry.misfire, GRACE)
        if slots:
            jobs = [slot_job(entry, slot, now) for slot in slots]
            added = await self._add(entry, jobs, now)
            self._fired(entry, [job for job, one in zip(jobs, added, strict=True) if one.created])
            held_by = _holder(entry, added[-1])
        next_at = entry.schedule.after(now)
        if slots or told is None or _is_old(told, entry, now):
            before = None if told is None else told.fired
            fired = to_us(slots[-1]) if slots else before
            await self._tell(entry, now, fired, next_at, held_by)
        return next_at

    async def _add(self, entry: Entry, jobs: list[NewJob], now: datetime) -> list[Added]:
        """What became of the jobs of slots. A full queue has no room for them, and is no reason to end the worker."""
        try:
            return await self._store.add(jobs, now=now)
        except QueueFull as full:
            _log.warning("Schedule %r makes no job: %s", entry.name, full)
            return [Added(job.id, created=False) for job in jobs]

    async def _tell(
        self, entry: Entry, now: datetime, fired: int | None, next_at: datetime, held_by: str | None
    ) -> None:
        text = msgspec.json.encode(tell(entry, now, fired=fired, held_by=held_by)).decode()
        await self._store.put(Record(kind=KIND, name=entry.name, value=text, expires_at=next_at + REMEMBERED))


def tell(entry: Entry, now: datetime, *, fired: int | None = None, held_by: str | None = None) -> Told:
    """What is to be told of a schedule whose slots were looked at up to now."""
    return Told(
        schedule=entry.schedule.text,
        job=entry.draft.definition.name,
        queue=entry.draft.options.get("queue", entry.draft.definition.queue),
        seen=to_us(now),
        fired=fired,
        next=to_us(entry.schedule.after(now)),
        held_by=held_by,
    )


def _is_old(told: Told, entry: Entry, now: datetime) -> bool:
    """Whether it tells of another schedule, or of a slot that has passed and became no job."""
    has_passed = from_us(told.next) <= now or from_us(told.seen) + REMEMBERED / 2 < now
    return has_passed or told.schedule != entry.schedule.text


def _since(entry: Entry, told: Told | None, now: datetime) -> datetime:
    """Since when slots count: a new schedule has missed nothing, and neither has one whose text is new.

    That still counts the last minute, whatever was told: two versions of an app that run at once, each with its own
    text, would keep each other from ever firing.
    """
    if told is None:
        return now
    return from_us(told.seen) if told.schedule == entry.schedule.text else now - GRACE


def _holder(entry: Entry, added: Added) -> str | None:
    """Who kept a slot from becoming a job. Where the key is that of the slot, it is another scheduler's job of it."""
    return None if added.created or not entry.draft.options.get("unique") else added.id


def slot_job(entry: Entry, slot: datetime, now: datetime) -> NewJob:
    """The job of one slot. Of all that schedulers draft one is made: its key outlives it, even where it is forgotten
    as soon as it is done; one with a key of its own has the same id, whoever drafts it."""
    job = msgspec.structs.replace(entry.draft.new_job(now, at=max(slot, now)), run_at=slot)
    if job.unique is not None:
        return msgspec.structs.replace(job, id=_slot_id(entry.name, slot))
    held = Unique(f"cron:{entry.name}:{slot.isoformat()}", "period", max(slot, now) + SLOT_HELD)
    return msgspec.structs.replace(job, unique=held)


def _slot_id(name: str, slot: datetime) -> str:
    """A UUID of version 7 whose random part is a digest of the schedule's name."""
    stamp = f"{to_us(slot) // 1000:012x}"
    digest = hashlib.blake2b(f"{name} {slot.isoformat()}".encode(), digest_size=9).hexdigest()
    return f"{stamp[:8]}-{stamp[8:]}-7{digest[:3]}-8{digest[3:6]}-{digest[6:18]}"


def read_told(record: Record) -> Told | None:
    """What a schedule's record tells, if it can be read."""
    try:
        return msgspec.json.decode(record.value, type=Told)
    except msgspec.MsgspecError:
        _log.warning("The record of schedule %r cannot be read: it starts anew.", record.name)
        return None
