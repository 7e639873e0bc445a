"""What a tenant is told in the application: its notices, and which of them it has read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Row, Select, func, select, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us, utcnow
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import notices
from lamplighter.integrations.transition import Event

_row = notices.c


class Notice(Struct, frozen=True, kw_only=True):
    """One change of an integration. `reason`: the provider's words, without secrets, but to be escaped."""

    id: str
    integration_id: str
    tenant_id: str
    provider_slug: str
    event: Event
    reason: str | None
    at: datetime
    read_at: datetime | None


class Notices:
    """The notices of each tenant. No tenant sees or marks another's."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def page(
        self, tenant_id: str, *, unread: bool = False, limit: int = 100, before: str | None = None
    ) -> list[Notice]:
        """A tenant's notices, the newest first; go on with `before` = the last id of the page."""
        statement = page_of(tenant_id, unread=unread, limit=limit, before=before)
        return [
            _notice(row) for row in await self._database.read(lambda connection: connection.execute(statement).all())
        ]

    async def unread(self, tenant_id: str) -> int:
        """How many a tenant has not read."""
        statement = select(func.count()).where(_row.tenant_id == tenant_id, _row.read_at.is_(None))
        return await self._database.read(lambda connection: connection.execute(statement).scalar_one())

    async def mark_read(self, tenant_id: str, ids: Sequence[str]) -> int:
        """Mark those of a tenant's notices as read; returns how many were not before."""
        statement = (
            update(notices)
            .where(_row.tenant_id == tenant_id, _row.id.in_(ids), _row.read_at.is_(None))
            .values(read_at=to_us(self._clock()))
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount)


def page_of(tenant_id: str, *, unread: bool, limit: int, before: str | None) -> Select[Any]:
    """The statement behind `page`, for plans to be looked at."""
    statement = select(notices).where(_row.tenant_id == tenant_id).order_by(_row.id.desc()).limit(limit)
    if unread:
        statement = statement.where(_row.read_at.is_(None))
    return statement if before is None else statement.where(_row.id < before)


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        id=row.id,
        integration_id=row.integration_id,
        tenant_id=row.tenant_id,
        provider_slug=row.provider_slug,
        event=row.event,
        reason=row.reason,
        at=from_us(row.at),
        read_at=maybe_from_us(row.read_at),
    )
