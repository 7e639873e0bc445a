"""From notices to messages, in two steps that each commit all they did or nothing: address, and compose.

Several processes may do both at once: on PostgreSQL they pass over notices and recipients that another is at, and on
SQLite there is one writer. Nothing is found by looking at what was done before: what is new, what
waits and what is open have indexes of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from lamplighter.core.clock import Clock, to_us, utcnow
from lamplighter.core.ids import new_id
from lamplighter.integrations.notices.digest import MOST_MESSAGES, PERIODS, Decision, decide
from lamplighter.integrations.notices.preferences import digest_of, muted_for
from lamplighter.integrations.notices.recipients import heard
from lamplighter.integrations.storage.database import Database, insert_new
from lamplighter.integrations.storage.tables import deliveries, messages, notices, recipients

BATCH = 200  # notices addressed in one transaction, or messages listed
TOPICS = 20  # composed in one transaction: refreshes wait for no more

# As the index says it: SQLAlchemy would write `is_new = 1`, for which SQLite does not use it.
_is_new: ColumnElement[bool] = literal_column("is_new")
_new = select(notices.c.id).where(_is_new).limit(1)
_first_new = (
    select(notices.c.id, notices.c.tenant_id, notices.c.provider_slug, notices.c.event, notices.c.at)
    .where(_is_new)
    .order_by(notices.c.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)  # which SQLite does without
)
_waits = deliveries.c.message_id.is_(None)


class Topic(NamedTuple):
    """What may be put into one digest for a recipient: an event at a provider."""

    recipient_id: str
    name: str


class Composed(NamedTuple):
    """A message to be delivered, and whose recipient it is for, if not the operator's."""

    message_id: str
    tenant_id: str | None


class Dispatcher:
    """Makes messages out of notices."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def address(self) -> int:
        """Write down for each new notice who is to be told; returns how many notices that were."""
        total = 0
        while await self._database.read(lambda connection: connection.execute(_new).first()):
            addressed = await self._database.write(_address)
            if not addressed:  # another process has them
                break
            total += addressed
        return total

    async def compose(self) -> AsyncIterator[list[Composed]]:
        """Make messages of what waits, as far as it is time for them; yields those made, some at a time."""
        last = Topic("", "")
        now = self._clock()
        while found := await self._database.read(partial(_topics, last, now)):
            due = [topic for topic, decision in found if decision != "later"]
            if due and (made := await self._database.write(partial(_compose, due, now))):
                yield made
            last = found[-1][0]

    async def unfinished(self) -> AsyncIterator[list[Composed]]:
        """All messages that were neither sent nor given up, some at a time."""
        last = ""
        while found := await self._database.read(partial(_open, last)):
            yield found
            last = found[-1].message_id


def _address(connection: Connection) -> int:
    found = connection.execute(_first_new).all()
    if found:
        if rows := _addressed(connection, found):
            insert_new(connection, deliveries, rows)
        done = update(notices).where(notices.c.id.in_([notice.id for notice in found]))
        connection.execute(done.values(is_new=False))
    return len(found)


def _addressed(connection: Connection, found: Sequence[Any]) -> list[dict[str, Any]]:
    """A delivery for everyone who hears of such an event, and was there when it happened."""
    tenant_ids = {notice.tenant_id for notice in found} - {None}
    people, muted = _people(connection, tenant_ids), muted_for(connection, tenant_ids)
    return [
        {"recipient_id": one.id, "notice_id": notice.id, "topic": f"{notice.event} {notice.provider_slug or ''}"}
        for notice in found
        for one in people[None] + (people[notice.tenant_id] if notice.tenant_id else [])
        if notice.event in heard(one.events, one.tenant_id)
        and one.created_at <= notice.at
        and (one.tenant_id, notice.event) not in muted
    ]


def _people(connection: Connection, tenant_ids: set[str]) -> defaultdict[str | None, list[Any]]:
    """The recipients of those tenants, and under None the operator's."""
    columns = (recipients.c.id, recipients.c.tenant_id, recipients.c.events, recipients.c.created_at)
    asked = or_(recipients.c.tenant_id.in_(tenant_ids), recipients.c.tenant_id.is_(None))
    people: defaultdict[str | None, list[Any]] = defaultdict(list)
    for one in connection.execute(select(*columns).where(asked)):
        people[one.tenant_id].append(one)
    return people


def _topics(last: Topic, now: datetime, connection: Connection) -> list[tuple[Topic, Decision]]:
    """The next topics of which something waits, each found by one step in the index, however much of it waits."""
    found: list[tuple[Topic, Decision]] = []
    while len(found) < TOPICS and (topic := _next_topic(connection, last)):
        found.append((topic, _decide(connection, topic, now)))
        last = topic
    return found


def _next_topic(connection: Connection, last: Topic) -> Topic | None:
    row = connection.execute(next_topic(last)).first()
    return None if row is None else Topic(*row)


def _decide(connection: Connection, topic: Topic, now: datetime) -> Decision:
    digest = digest_of(connection, topic.recipient_id, topic.name.partition(" ")[0])
    recent = (
        select(messages.c.id)
        .where(
            messages.c.recipient_id == topic.recipient_id,
            messages.c.topic == topic.name,
            messages.c.created_at > to_us(now - PERIODS[digest]),
        )
        .limit(MOST_MESSAGES)
        .subquery()
    )
    counted = connection.execute(select(func.count()).select_from(recent)).scalar_one()
    return decide(counted, len(_first_waiting(connection, topic)), digest)


def _first_waiting(connection: Connection, topic: Topic) -> Sequence[str]:
    """One more than may go as messages of their own: nobody need count the rest."""
    statement = (
        select(deliveries.c.notice_id)
        .where(_waits, deliveries.c.recipient_id == topic.recipient_id, deliveries.c.topic == topic.name)
        .order_by(deliveries.c.notice_id)
        .limit(MOST_MESSAGES + 1)
    )
    return connection.execute(statement).scalars().all()


def _compose(topics: Sequence[Topic], now: datetime, connection: Connection) -> list[Composed]:
    return [one for topic in topics for one in _compose_one(connection, topic, now)]


def _compose_one(connection: Connection, topic: Topic, now: datetime) -> list[Composed]:
    """Decided anew under a lock on the recipient: another process may just have done the same, or be at it."""
    of_recipient = recipients.c.id == topic.recipient_id
    locked = select(recipients.c.tenant_id).where(of_recipient).with_for_update(skip_locked=True)
    recipient = connection.execute(locked).first()
    if recipient is None:
        is_there = select(recipients.c.id).where(of_recipient).exists()
        waiting = (_waits, deliveries.c.recipient_id == topic.recipient_id)
        connection.execute(delete(deliveries).where(*waiting, ~is_there))  # removed while it was addressed
        return []
    match _decide(connection, topic, now):
        case "later":
            return []
        case "digest":
            made = [_message(connection, topic, None, now)]
        case "each":
            made = [_message(connection, topic, id_, now) for id_ in _first_waiting(connection, topic)]
    return [Composed(id_, recipient.tenant_id) for id_ in made]


def _message(connection: Connection, topic: Topic, notice_id: str | None, now: datetime) -> str:
    """A message of one notice, or of all that wait."""
    message_id = new_id(to_us(now))
    values = {"id": message_id, "recipient_id": topic.recipient_id, "topic": topic.name, "created_at": to_us(now)}
    connection.execute(insert(messages), values)
    taken = update(deliveries).where(
        _waits, deliveries.c.recipient_id == topic.recipient_id, deliveries.c.topic == topic.name
    )
    if notice_id is not None:
        taken = taken.where(deliveries.c.notice_id == notice_id)
    connection.execute(taken.values(message_id=message_id))
    return message_id


def _open(last: str, connection: Connection) -> list[Composed]:
    return [Composed(*row) for row in connection.execute(open_after(last, BATCH))]


def next_topic(last: Topic) -> Select[Any]:
    """The statement behind `compose`, for plans to be looked at."""
    order = (deliveries.c.recipient_id, deliveries.c.topic)
    return select(*order).where(_waits, tuple_(*order) > last).order_by(*order).limit(1)


def open_after(last: str, limit: int) -> Select[Any]:
    """The statement behind `unfinished`."""
    return (
        select(messages.c.id, recipients.c.tenant_id)
        .join(recipients, recipients.c.id == messages.c.recipient_id, isouter=True)
        .where(messages.c.ended_at.is_(None), messages.c.id > last)
        .order_by(messages.c.id)
        .limit(limit)
    )
