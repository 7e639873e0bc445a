"""Pauses of schedules: records, so that whoever pauses one need not know who fires it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from lamplighter.core.clock import from_us, to_us
from lamplighter.core.model import Record
from lamplighter.store.base import Store

KIND = "cron_paused"
REMEMBERED = timedelta(days=30)  # how long after a pause its slots could still be made up for

_log = logging.getLogger("lamplighter.worker")


class Pause(Struct, frozen=True, kw_only=True):
    """When slots of a schedule become no jobs; in microseconds since 1970. No `until`: it lasts.

    One that is over stays on record: slots that passed in it, while no worker was there, are not made up for.
    """

    since: int
    until: int | None = None

    def starts_at(self, now: datetime) -> datetime:
        """The moment before which slots do not count."""
        return now if self.until is None else from_us(self.until)


async def pause(store: Store, name: str, *, now: datetime) -> None:
    """Let slots of a schedule pass, from the next look at it on. Pausing it again changes nothing."""
    known = (await pauses(store, now=now)).get(name)
    if known is None or known.until is not None:
        await _put(store, name, Pause(since=to_us(now)), None)


async def resume(store: Store, name: str, *, now: datetime) -> None:
    """Let the slots that are yet to come become jobs again."""
    known = (await pauses(store, now=now)).get(name)
    if known is not None and known.until is None:
        await _put(store, name, Pause(since=known.since, until=to_us(now)), now + REMEMBERED)


async def pauses(store: Store, *, now: datetime) -> dict[str, Pause]:
    """Those on record, by the name of the schedule."""
    return {one.name: read for one in await store.records(KIND, now=now) if (read := _read(one)) is not None}


async def _put(store: Store, name: str, told: Pause, expires_at: datetime | None) -> None:
    text = msgspec.json.encode(told).decode()
    await store.put(Record(kind=KIND, name=name, value=text, expires_at=expires_at))


def _read(record: Record) -> Pause | None:
    try:
        return msgspec.json.decode(record.value, type=Pause)
    except msgspec.MsgspecError:
        _log.warning("The pause of schedule %r cannot be read: it goes on. Pause it again.", record.name)
        return None
