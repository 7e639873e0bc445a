"""What a tenant is told in the application: its notices, and which of them it has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, func, select, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us, utcnow
from lamplighter.integrations.notices import outbox
from lamplighter.integrations.notices.outbox import Fact
from lamplighter.integrations.notices.words import says
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import notices, providers, tenants

_row = notices.c


class Notice(Struct, frozen=True, kw_only=True):
    """One thing that people are told. `subject`: in words. Only one of an integration has that, and its provider.
    `reason`: the provider's words, and facts may be somebody's too: without secrets, but to be escaped."""

    id: str
    integration_id: str | None
    tenant_id: str | None
    provider_slug: str | None
    event: str
    subject: str
    reason: str | None
    facts: dict[str, Fact]
    at: datetime
    read_at: datetime | None


class Notices:
    """The notices of each tenant. No tenant sees or marks another's."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    def tell(
        self,
        connection: Connection,
        event: str,
        *,
        key: str,
        tenant_id: str | None = None,
        facts: Mapping[str, Fact] | None = None,
    ) -> bool:
        """Tell a tenant and the operators, or without one the operators alone, in the transaction of what happened.

            await service.database.write(lambda connection: notices.tell(connection, "archive.done", key="2026-11"))

        Args:
            event: one that `declare` knows; who hears of it, and how, is the recipients' and the tenant's to say.
            key: tells it apart from others of the event and tenant: whatever is told twice under one is told once.
            facts: what its words are filled with; at most 20, texts of at most 500 characters. They hold no secrets.

        Returns:
            Whether it is new.

        Raises:
            BadEvent: no such event is declared, or it is not for tenants, or the key or a fact cannot be.
        """
        at = self._clock()
        return outbox.tell(connection, event, key=key, tenant_id=tenant_id, facts=facts or {}, at=at)

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
    statement = (
        select(notices, tenants.c.name.label("tenant_name"), providers.c.display_name.label("provider_name"))
        .join(tenants, tenants.c.id == _row.tenant_id)
        .join(providers, providers.c.slug == _row.provider_slug, isouter=True)
        .where(_row.tenant_id == tenant_id)
        .order_by(_row.id.desc())
        .limit(limit)
    )
    if unread:
        statement = statement.where(_row.read_at.is_(None))
    return statement if before is None else statement.where(_row.id < before)


def _notice(row: Row[Any]) -> Notice:
    provider = row.provider_name or row.provider_slug
    return Notice(
        id=row.id,
        integration_id=row.integration_id,
        tenant_id=row.tenant_id,
        provider_slug=row.provider_slug,
        event=row.event,
        subject=says(row.event, row.facts or {}, tenant=row.tenant_name, provider=provider),
        reason=row.reason,
        facts=row.facts or {},
        at=from_us(row.at),
        read_at=maybe_from_us(row.read_at),
    )
