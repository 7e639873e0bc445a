"""The past of an integration's health, in spans: each lasts until the next. A row a change, not a row a check."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from lamplighter.core.clock import to_us
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.storage.database import insert_into
from lamplighter.integrations.storage.tables import health as now_table
from lamplighter.integrations.storage.tables import health_spans

LONGEST_MESSAGE = 500  # characters

_now = now_table.c
_span = health_spans.c


class Seen(NamedTuple):
    """What was found, and how long a check took, if it was one (milliseconds)."""

    health: Health | None
    message: str | None
    latency_ms: int | None = None


def note(connection: Connection, integration_id: str, seen: Seen, now: datetime) -> bool:
    """Write down what was found: in the span that lasts, or as the beginning of the next one. True if that began."""
    at, message = to_us(now), seen.message and seen.message[:LONGEST_MESSAGE]
    before = connection.execute(
        select(_now.health, _now.since).where(_now.integration_id == integration_id).with_for_update()
    ).first()
    is_news = before is None or before.since is None or before.health != seen.health
    since = at if is_news else before.since  # type: ignore[union-attr]  # then there is one
    values = {"health": seen.health, "since": since, "message": message}
    if seen.latency_ms is not None:
        values |= {"checked_at": at, "latency_ms": seen.latency_ms}
    if before is None:
        connection.execute(insert(now_table), values | {"integration_id": integration_id, "due_at": 0})
    else:
        connection.execute(update(now_table).where(_now.integration_id == integration_id).values(values))
    _extend(connection, integration_id, since, seen._replace(message=message))
    return is_news


def _extend(connection: Connection, integration_id: str, began_at: int, seen: Seen) -> None:
    """A check is counted in its span; what is no check only begins one."""
    checks, latency = (0, 0) if seen.latency_ms is None else (1, seen.latency_ms)
    row = {
        "integration_id": integration_id,
        "began_at": began_at,
        "health": seen.health,
        "message": seen.message,
        "checks": checks,
        "latency_total_ms": latency,
    }
    counted = {
        "checks": _span.checks + checks,
        "latency_total_ms": _span.latency_total_ms + latency,
        "health": seen.health,
        "message": seen.message,
    }
    statement = insert_into(connection, health_spans).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["integration_id", "began_at"], set_=counted))
