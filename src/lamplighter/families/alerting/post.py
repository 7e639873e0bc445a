"""Delivers what operators are told of alerts, from whatever process looks: no worker is needed, for there may be none.

A delivery is taken by moving its time on, so one process tries it at a time; one that is killed meanwhile leaves it to
be tried again, under the same id, by which the receiver can tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from lamplighter.core.clock import Clock, from_us, to_us
from lamplighter.integrations.notices.address import Channel
from lamplighter.integrations.notices.alarm import Alarm, AlarmMessage
from lamplighter.integrations.notices.channel import Refused, Sender, Undelivered, as_undelivered
from lamplighter.integrations.notices.message import unseal
from lamplighter.integrations.notices.recipients import MOST, heard
from lamplighter.integrations.notices.wording import tell_alarm
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import alert_changes, alert_deliveries, recipients
from lamplighter.integrations.vault import Vault
from lamplighter.observe.meter import Meter

LEASE = timedelta(minutes=3)  # longer than any channel takes
FIRST, LONGEST = timedelta(seconds=10), timedelta(minutes=30)  # between two tries: twice as long each time
GIVE_UP_AFTER = timedelta(days=1)
BATCH = 50  # deliveries at once
MOST_ALARMS = 100  # told in full: of more, a letter tells how many there are

_delivery = alert_deliveries.c


class _Taken(NamedTuple):
    letter_id: str
    recipient_id: str
    tries: int


class Person(NamedTuple):
    """An operator's recipient, sealed."""

    id: str
    channel: Channel
    events: tuple[str, ...]
    address: str
    secret: str | None


class Tried(NamedTuple):
    """What came of a test message: why it did not get through, or None."""

    recipient_id: str
    channel: Channel
    failure: str | None


class Post:
    """The messages of one service. `runbook`: where to read what to do about a rule."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        senders: Mapping[Channel, Sender],
        *,
        runbook: Callable[[str], str],
        clock: Clock,
        meter: Meter | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._senders = senders
        self._runbook = runbook
        self._clock = clock
        self._meter = Meter() if meter is None else meter

    async def deliver(self) -> None:
        """Try what is due, once each."""
        if not await self._database.read(lambda connection: _due(connection, self._clock())):
            return
        taken = await self._database.write(lambda connection: _take(connection, self._clock()))
        await asyncio.gather(*map(self._deliver, taken))

    async def people(self) -> list[Person]:
        """The operators' recipients."""
        return await self._database.read(_people)

    async def test(self) -> list[Tried]:
        """Send each operator's recipient a message that says that it is a test."""
        now = self._clock()
        alarm = Alarm(
            rule="test",
            subject="nothing",
            severity="warning",
            says="This is a test of how operators are told of alerts: nothing is wrong.",
            since=now,
            at=now,
            runbook=self._runbook("test"),
        )
        return await asyncio.gather(*(self._test(one, alarm) for one in await self.people()))

    async def send(self, person: Person, message: AlarmMessage) -> None:
        """Send it. Raises Undelivered or Refused, in words that hold no address."""
        with as_undelivered():
            target = unseal(self._vault, person.id, person.address, person.secret)
            await self._senders[person.channel].send(message, tell_alarm(message), target)

    async def _test(self, person: Person, alarm: Alarm) -> Tried:
        message = AlarmMessage.of_one(alarm, person.channel, "alert.firing", is_test=True)
        try:
            await self.send(person, message)
        except (Undelivered, Refused) as error:
            return Tried(person.id, person.channel, str(error))
        return Tried(person.id, person.channel, None)

    async def _deliver(self, taken: _Taken) -> None:
        found = await self._database.read(lambda connection: self._read(connection, taken))
        if found is None:
            return await self._end(taken, "its recipient was removed")
        person, message = found
        try:
            await self.send(person, message)
        except Undelivered as error:
            if self._clock() - message.created_at < GIVE_UP_AFTER:
                self._meter.notified(person.channel, "retried")
                return await self._later(taken, error)
            self._meter.notified(person.channel, "given_up")
            return await self._end(taken, f"given up after {GIVE_UP_AFTER.days} day: {error}")
        except Refused as error:
            self._meter.notified(person.channel, "refused")
            return await self._end(taken, str(error))
        self._meter.notified(person.channel, "sent")
        return await self._end(taken, None)

    def _read(self, connection: Connection, taken: _Taken) -> tuple[Person, AlarmMessage] | None:
        person = next((one for one in _people(connection) if one.id == taken.recipient_id), None)
        row = alert_changes.c
        of_letter = row.letter_id == taken.letter_id
        rows = connection.execute(select(alert_changes).where(of_letter).order_by(row.id).limit(MOST_ALARMS)).all()
        if person is None or not rows:
            return None
        return person, AlarmMessage(
            id=taken.letter_id,
            channel=person.channel,
            event=rows[0].event,
            alarms=tuple(
                Alarm(
                    rule=one.rule,
                    subject=one.subject,
                    severity=one.severity,
                    says=one.says,
                    since=from_us(one.since),
                    at=from_us(one.at),
                    runbook=self._runbook(one.rule),
                )
                for one in rows
            ),
            count=connection.execute(select(func.count()).where(of_letter)).scalar_one(),
            created_at=from_us(rows[0].lettered_at),
        )

    async def _later(self, taken: _Taken, error: Undelivered) -> None:
        wait = error.retry_after or min(FIRST * 2 ** min(taken.tries, 12), LONGEST)
        due_at = to_us(self._clock() + wait)
        await self._write(taken, due_at=due_at, failure=str(error))

    async def _end(self, taken: _Taken, failure: str | None) -> None:
        await self._write(taken, ended_at=to_us(self._clock()), failure=failure)

    async def _write(self, taken: _Taken, **values: object) -> None:
        is_open = (
            _delivery.letter_id == taken.letter_id,
            _delivery.recipient_id == taken.recipient_id,
            _delivery.ended_at.is_(None),
        )
        statement = update(alert_deliveries).where(*is_open).values(**values)
        await self._database.write(lambda connection: connection.execute(statement).rowcount)


def _due(connection: Connection, now: datetime) -> list[tuple[str, str, int, int]]:
    statement = (
        select(_delivery.letter_id, _delivery.recipient_id, _delivery.tries, _delivery.due_at)
        .where(_delivery.ended_at.is_(None), _delivery.due_at <= to_us(now))
        .order_by(_delivery.due_at)
        .limit(BATCH)
    )
    return [tuple(row) for row in connection.execute(statement)]


def _take(connection: Connection, now: datetime) -> list[_Taken]:
    """Those that no other process has taken meanwhile."""
    taken = []
    for letter_id, recipient_id, tries, due_at in _due(connection, now):
        same = (_delivery.letter_id == letter_id, _delivery.recipient_id == recipient_id, _delivery.due_at == due_at)
        moved = update(alert_deliveries).where(*same, _delivery.ended_at.is_(None))
        if connection.execute(moved.values(due_at=to_us(now + LEASE), tries=tries + 1)).rowcount == 1:
            taken.append(_Taken(letter_id, recipient_id, tries))
    return taken


def _people(connection: Connection) -> list[Person]:
    row = recipients.c
    columns = (row.id, row.channel, row.events, row.address, row.secret)
    found = connection.execute(select(*columns).where(row.tenant_id.is_(None)).order_by(row.id).limit(MOST))
    return [Person(one.id, one.channel, heard(one.events, None), one.address, one.secret) for one in found]
