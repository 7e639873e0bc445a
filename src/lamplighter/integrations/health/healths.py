"""The health of all integrations: what is due to be checked, what was found, and what has been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us, utcnow
from lamplighter.integrations.health import span
from lamplighter.integrations.health.health import HealthView
from lamplighter.integrations.health.history import History, Span, history
from lamplighter.integrations.health.spread import next_check
from lamplighter.integrations.refreshing.row import REFRESHABLE
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import health, health_spans, integrations, providers, tenants

BATCH = 500  # rows at a time
LATER = timedelta(hours=4)  # where a provider does not say how often
RECHECK = timedelta(minutes=1)  # of a token that was found not to work: it is being refreshed meanwhile
RECHECK_ERROR = timedelta(minutes=15)  # of what could not be found out

_row = health.c
_span = health_spans.c

_due = (
    select(
        _row.integration_id,
        _row.due_at,
        integrations.c.status,
        integrations.c.access_token.is_not(None).label("has_token"),
        providers.c.facts,
        tenants.c.health_interval,
    )
    .join(integrations, integrations.c.id == _row.integration_id)
    .join(providers, providers.c.slug == integrations.c.provider_slug)
    .join(tenants, tenants.c.id == integrations.c.tenant_id)
    .where(_row.due_at <= bindparam("now"))
    .order_by(_row.due_at, _row.integration_id)
    .limit(bindparam("limit"))
)
_move = (
    update(health)
    .where(_row.integration_id == bindparam("row"), _row.due_at == bindparam("was"))
    .values(due_at=bindparam("next"))
)
_recheck = update(health).where(_row.integration_id == bindparam("row")).values(due_at=bindparam("next"))


class Due(NamedTuple):
    """An integration whose moment has come. `is_checkable`: there is something to ask."""

    integration_id: str
    due_at: int
    next_at: datetime
    is_checkable: bool


class Healths:
    """The tables of health."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def due(self, limit: int = BATCH) -> list[Due]:
        """Those whose moment has come, the longest due first. Say `moved` of each, or it comes again."""
        now = self._clock()
        parameters = {"now": to_us(now), "limit": limit}
        rows = await self._database.read(lambda connection: connection.execute(_due, parameters).all())
        return [_as_due(row, now) for row in rows]

    async def moved(self, due: Sequence[Due]) -> None:
        """These are seen to: they are due again at their next moment."""
        moves = [{"row": one.integration_id, "was": one.due_at, "next": to_us(one.next_at)} for one in due]
        if moves:
            await self._database.write(lambda connection: connection.execute(_move, moves).close())

    async def note(self, integration_id: str, seen: span.Seen) -> None:
        """Write down what a check found. What was found wrong just now is looked at again soon."""
        now = self._clock()

        def write(connection: Connection) -> None:
            is_news = span.note(connection, integration_id, seen, now)
            if seen.health == "error":
                at = next_check(integration_id, RECHECK_ERROR, now)
            elif seen.health != "healthy" and is_news:
                at = now + RECHECK
            else:
                return
            connection.execute(_recheck, {"row": integration_id, "next": to_us(at)})

        await self._database.write(write)

    async def get(self, integration_id: str) -> HealthView | None:
        """Its health now; None if it was never connected."""
        found = await self.of([integration_id])
        return found[0] if found else None

    async def of(self, integration_ids: Sequence[str]) -> list[HealthView]:
        """The health of these now."""
        statement = select(health).where(_row.integration_id.in_(integration_ids)).order_by(_row.integration_id)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [_view(row) for row in rows]

    async def history(self, integration_id: str, lasts: timedelta = timedelta(days=30)) -> History:
        """Its uptime and incidents since so long ago."""
        until = self._clock()
        since = until - lasts
        statement = (
            select(_span.began_at, _span.health, _span.message, _span.checks, _span.latency_total_ms)
            .where(_span.integration_id == integration_id)
            .order_by(_span.began_at)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return history([Span(from_us(row[0]), *row[1:]) for row in rows], since, until)


def _as_due(row: Row[Any], now: datetime) -> Due:
    seconds = row.health_interval or row.facts.get("health_interval")
    interval = timedelta(seconds=seconds) if seconds else LATER
    is_placed = row.due_at > 0
    is_checkable = row.has_token and row.status in REFRESHABLE and row.facts.get("health_url") is not None
    return Due(
        row.integration_id, row.due_at, next_check(row.integration_id, interval, now), is_placed and is_checkable
    )


def _view(row: Row[Any]) -> HealthView:
    return HealthView(
        integration_id=row.integration_id,
        health=row.health,
        since=maybe_from_us(row.since),
        last_checked=maybe_from_us(row.checked_at),
        message=row.message,
        latency_ms=row.latency_ms,
        due_at=from_us(row.due_at) if row.due_at else None,
    )
