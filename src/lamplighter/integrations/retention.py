"""Forgetting what is old: the past of health, notices and their messages, the audit log. A batch at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Delete, Table, delete, exists, select, tuple_

from lamplighter.core.clock import to_us
from lamplighter.core.config import Settings
from lamplighter.integrations.auditing.expiry import destroy_expired
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import (
    alert_changes,
    alert_deliveries,
    alerts,
    deliveries,
    health_spans,
    messages,
    notices,
)

BATCH = 500  # rows in one transaction: refreshes wait for no more


class Forgotten(NamedTuple):
    """How many rows went."""

    spans: int
    notices: int
    messages: int
    alerts: int
    audit: int


async def forget(database: Database, settings: Settings, now: datetime, *, batch: int = BATCH) -> Forgotten:
    """Delete what is older than the settings say, and of the audit log also its rules and holds. Safe in several
    processes at once."""
    history = to_us(now - settings.keep_history)
    told = exists().where(notices.c.id == deliveries.c.notice_id, notices.c.at < history)
    await _empty(database, deliveries, told, batch)
    await _empty(database, alert_deliveries, alert_deliveries.c.ended_at < history, batch)
    await _empty(database, alerts, (alerts.c.state == "resolved") & (alerts.c.seen_at < history), batch)
    return Forgotten(
        spans=await _empty(database, health_spans, _ended_before(history), batch),
        notices=await _empty(database, notices, notices.c.at < history, batch),
        messages=await _empty(database, messages, messages.c.created_at < history, batch),
        alerts=await _empty(database, alert_changes, alert_changes.c.at < history, batch),
        audit=await destroy_expired(database, settings, now, batch=batch),
    )


def _ended_before(moment: int) -> ColumnElement[bool]:
    """A span ends where the next one of its integration begins; the last one lasts."""
    span, later = health_spans.c, health_spans.alias("later").c
    ended = exists().where(
        later.integration_id == span.integration_id, later.began_at > span.began_at, later.began_at <= moment
    )
    return (span.began_at < moment) & ended


async def _empty(database: Database, table: Table, is_old: ColumnElement[bool], batch: int) -> int:
    statement, total = _some(table, is_old, batch), 0
    while gone := await database.write(lambda connection: connection.execute(statement).rowcount):
        total += gone
    return total


def _some(table: Table, is_old: ColumnElement[bool], limit: int) -> Delete:
    key: list[Any] = list(table.primary_key)
    found = select(*key).where(is_old).limit(limit)
    return delete(table).where((tuple_(*key) if len(key) > 1 else key[0]).in_(found))
