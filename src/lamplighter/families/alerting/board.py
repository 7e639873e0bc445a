"""Where alerts are kept between two looks, for all processes: a protocol, and the board of an app without tables.

The board of an app with tables is `table_board`. This one is made of records in the store: nobody is sent anything, and
of two processes that look at once both may say in the log that an alert fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import msgspec

from lamplighter.core.clock import Clock, to_us
from lamplighter.core.ids import new_id
from lamplighter.core.model import Record
from lamplighter.families.alerting.course import Alert, Found, Move, moves
from lamplighter.families.alerting.kinds import Rule
from lamplighter.families.alerting.silence import MOST, Silence, check_silence, is_silenced, too_many
from lamplighter.store.base import Store

T = TypeVar("T")

RECENT = timedelta(days=1)  # how long ago an alert may have been resolved that is still shown
UNSEEN = timedelta(hours=1)  # nobody looked at it for so long: who knows
ALERT, SILENCE = "alert", "alert.silence"  # kinds of records


class Board(Protocol):
    """What is known of alerts. All of its methods raise StoreError where it cannot be reached."""

    async def advance(self, rules: Sequence[Rule], found: Found, *, calm: timedelta, now: datetime) -> list[Move]:
        """Write down what becomes of all alerts after one look, once for all processes; returns what changed."""
        ...

    async def alerts(self) -> list[Alert]:
        """Those that are pending or fire, and those that were resolved lately."""
        ...

    async def silences(self) -> list[Silence]:
        """Those that last, by when they end."""
        ...

    async def silence(self, rule: str, subject: str, lasts: timedelta, *, reason: str, user_id: str) -> Silence:
        """Tell nobody of what these cover, for so long. Raises ConfigError if there can be no such silence."""
        ...

    async def unsilence(self, silence_id: str) -> bool:
        """End a silence. True if it was there."""
        ...


class RecordBoard:
    """On records of a store."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def advance(self, rules: Sequence[Rule], found: Found, *, calm: timedelta, now: datetime) -> list[Move]:
        known = {(one.rule, one.subject): one for one in await self._read(ALERT, Alert)}
        silences = await self.silences()
        went = moves(known, rules, found, calm=calm, now=now, is_silenced=lambda one: is_silenced(one, silences, now))
        for before, after, _ in went:
            if after is not None:
                lasts = UNSEEN if after.is_live else RECENT
                await self._put(ALERT, f"{after.rule} {after.subject}", after, now + lasts)
            elif before is not None:
                await self._store.drop(ALERT, f"{before.rule} {before.subject}")
        return went

    async def alerts(self) -> list[Alert]:
        return sorted(await self._read(ALERT, Alert), key=lambda one: (one.rule, one.subject))

    async def silences(self) -> list[Silence]:
        return sorted(await self._read(SILENCE, Silence), key=lambda one: (one.until, one.id))

    async def silence(self, rule: str, subject: str, lasts: timedelta, *, reason: str, user_id: str) -> Silence:
        made = new_silence(rule, subject, lasts, reason=reason, user_id=user_id, now=self._clock())
        if len(await self.silences()) >= MOST:
            raise too_many()
        await self._put(SILENCE, made.id, made, made.until)
        return made

    async def unsilence(self, silence_id: str) -> bool:
        was_there = any(one.id == silence_id for one in await self.silences())
        await self._store.drop(SILENCE, silence_id)
        return was_there

    async def _read(self, kind: str, type_: type[T]) -> list[T]:
        """What another version wrote, and this one cannot read, is as good as not there."""
        found = []
        for one in await self._store.records(kind, now=self._clock()):
            try:
                found.append(msgspec.json.decode(one.value, type=type_))
            except msgspec.MsgspecError:
                continue
        return found

    async def _put(self, kind: str, name: str, value: Alert | Silence, expires_at: datetime) -> None:
        text = msgspec.json.encode(value).decode()
        await self._store.put(Record(kind=kind, name=name, value=text, expires_at=expires_at))


def new_silence(rule: str, subject: str, lasts: timedelta, *, reason: str, user_id: str, now: datetime) -> Silence:
    """A silence that begins now. Raises ConfigError if there can be none like that."""
    check_silence(rule, subject, lasts, reason)
    return Silence(
        id=new_id(to_us(now)),
        rule=rule,
        subject=subject,
        until=now + lasts,
        reason=reason.strip(),
        user_id=user_id,
        created_at=now,
    )
