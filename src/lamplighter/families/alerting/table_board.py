"""The board of an app with tables: each change of an alert is made once, and what people are told of it with it.

Several processes look at once. Each writes on condition that an alert is still what it was read as, so one of them
makes the change; the row of what is to be told is in the same transaction, and unique for each change of an episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, distinct, func, insert, select, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, maybe_to_us, to_us
from lamplighter.core.ids import new_id
from lamplighter.families.alerting.board import RECENT, new_silence
from lamplighter.families.alerting.course import Alert, Event, Found, Move, moves
from lamplighter.families.alerting.kinds import Rule
from lamplighter.families.alerting.silence import MOST, Silence, is_silenced, too_many
from lamplighter.integrations.notices.digest import MOST_MESSAGES, PERIOD, decide
from lamplighter.integrations.notices.recipients import heard
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.tables import (
    alert_changes,
    alert_deliveries,
    alert_silences,
    alerts,
    recipients,
)

_alert, _change, _silence = alerts.c, alert_changes.c, alert_silences.c


class TableBoard:
    """In the tables of the service."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def advance(self, rules: Sequence[Rule], found: Found, *, calm: timedelta, now: datetime) -> list[Move]:
        if not any(found.values()) and not await self._database.read(_is_anything_open):
            return []

        def write(connection: Connection) -> list[Move]:
            _one_at_a_time(connection)
            known = {(one.rule, one.subject): one for one in map(_read, connection.execute(select(alerts)))}
            silences = _silences(connection, now)
            went = moves(
                known, rules, found, calm=calm, now=now, is_silenced=lambda one: is_silenced(one, silences, now)
            )
            made = [move for move in went if _make(connection, move)]
            for move in made:
                if move.event is not None and move.after is not None:
                    _note(connection, move.after, move.event, now)
            _compose(connection, now)
            return made

        return await self._database.write(write)

    async def alerts(self) -> list[Alert]:
        recent = to_us(self._clock() - RECENT)
        shown = select(alerts).where((_alert.state != "resolved") | (_alert.seen_at > recent))
        rows = await self._database.read(
            lambda connection: connection.execute(shown.order_by(_alert.rule, _alert.subject)).all()
        )
        return [_read(row) for row in rows]

    async def silences(self) -> list[Silence]:
        return await self._database.read(lambda connection: _silences(connection, self._clock()))

    async def silence(self, rule: str, subject: str, lasts: timedelta, *, reason: str, user_id: str) -> Silence:
        now = self._clock()
        made = new_silence(rule, subject, lasts, reason=reason, user_id=user_id, now=now)

        def write(connection: Connection) -> None:
            _one_at_a_time(connection)
            connection.execute(delete(alert_silences).where(_silence.until <= to_us(now)))
            if len(_silences(connection, now)) >= MOST:
                raise too_many()
            values = {
                "id": made.id,
                "rule": rule,
                "subject": subject,
                "until": to_us(made.until),
                "reason": made.reason,
                "user_id": user_id,
                "created_at": to_us(now),
            }
            connection.execute(insert(alert_silences), values)

        await self._database.write(write)
        return made

    async def unsilence(self, silence_id: str) -> bool:
        gone = delete(alert_silences).where(_silence.id == silence_id, _silence.until > to_us(self._clock()))
        return await self._database.write(lambda connection: connection.execute(gone).rowcount) == 1


def _is_anything_open(connection: Connection) -> bool:
    live = select(_alert.rule).where(_alert.state.in_(("pending", "firing"))).limit(1)
    waiting = select(_change.id).where(_change.letter_id.is_(None)).limit(1)
    return any(connection.execute(one).first() for one in (live, waiting))


def _one_at_a_time(connection: Connection) -> None:
    """Or two that look at once would each find that few messages were made lately. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("lamplighter.alerts"))))


def _make(connection: Connection, move: Move) -> bool:
    """Whether the alert was still what it was read as, and is now what it is to be."""
    before, after = move.before, move.after
    if before is None:
        assert after is not None, "nothing comes of nothing"
        new = insert_into(connection, alerts).on_conflict_do_nothing().returning(_alert.rule)
        return connection.execute(new, _values(after)).first() is not None
    same = (
        _alert.rule == before.rule,
        _alert.subject == before.subject,
        _alert.state == before.state,
        _alert.since == to_us(before.since),
        _alert.seen_at == to_us(before.seen_at),
    )
    change = delete(alerts) if after is None else update(alerts).values(_values(after))
    return connection.execute(change.where(*same)).rowcount == 1


def _note(connection: Connection, alert: Alert, event: Event, now: datetime) -> None:
    """It is to be told: once for each change of an episode."""
    values = {
        "id": new_id(to_us(now)),
        "rule": alert.rule,
        "subject": alert.subject,
        "since": to_us(alert.since),
        "event": event,
        "severity": alert.severity,
        "says": alert.says,
        "at": to_us(now),
    }
    connection.execute(insert_into(connection, alert_changes).on_conflict_do_nothing(), values)


def _compose(connection: Connection, now: datetime) -> None:
    """Put what waits into letters: the first few of a rule each into one of its own, a storm into one for all."""
    topics = connection.execute(select(_change.rule, _change.event).where(_change.letter_id.is_(None)).distinct()).all()
    for rule, event in topics:
        topic = (_change.rule == rule, _change.event == event)
        made = select(func.count(distinct(_change.letter_id)))
        recent = connection.execute(made.where(*topic, _change.lettered_at > to_us(now - PERIOD))).scalar_one()
        waiting = select(_change.id).where(*topic, _change.letter_id.is_(None)).order_by(_change.id)
        first = connection.execute(waiting.limit(MOST_MESSAGES + 1)).scalars().all()
        match decide(recent, len(first)):
            case "each":
                for id_ in first:
                    _letter(connection, event, now, *topic, _change.id == id_)
            case "digest":
                _letter(connection, event, now, *topic)
            case "later":
                pass


def _letter(connection: Connection, event: str, now: datetime, *which: Any) -> None:
    """One letter of these changes, for every operator's recipient who hears of that."""
    letter_id = new_id(to_us(now))
    connection.execute(
        update(alert_changes)
        .where(*which, _change.letter_id.is_(None))
        .values(letter_id=letter_id, lettered_at=to_us(now))
    )
    people = select(recipients.c.id, recipients.c.events).where(recipients.c.tenant_id.is_(None))
    rows = [
        {"letter_id": letter_id, "recipient_id": one.id, "due_at": to_us(now), "tries": 0}
        for one in connection.execute(people)
        if event in heard(one.events, None)
    ]
    if rows:
        connection.execute(insert(alert_deliveries), rows)


def _silences(connection: Connection, now: datetime) -> list[Silence]:
    lasting = select(alert_silences).where(_silence.until > to_us(now)).order_by(_silence.until, _silence.id)
    return [
        Silence(**{**row._mapping, "until": from_us(row.until), "created_at": from_us(row.created_at)})
        for row in connection.execute(lasting)
    ]


_MOMENTS = ("since", "seen_at", "fired_at", "good_since", "resolved_at")


def _values(alert: Alert) -> dict[str, Any]:
    values = {name: getattr(alert, name) for name in alert.__struct_fields__}
    return values | {name: maybe_to_us(values[name]) for name in _MOMENTS}


def _read(row: Row[Any]) -> Alert:
    values = dict(row._mapping)
    return Alert(**values | {name: maybe_from_us(values[name]) for name in _MOMENTS})
