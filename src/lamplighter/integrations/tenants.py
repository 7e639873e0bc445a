"""The tenants whose integrations are kept alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import Row, select, update

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.integrations.database import Database, insert_new
from lamplighter.integrations.tables import tenants


class Tenant(Struct, frozen=True, kw_only=True):
    """`owner_id` is the owner's subject at the identity provider."""

    id: str
    name: str
    owner_id: str
    archived: bool = False
    created_at: datetime | None = None  # when it is added, if it is not known


class Tenants:
    """The table of tenants."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def add(self, new: Sequence[Tenant]) -> int:
        """Add tenants; one whose id is there stays as it is. Returns how many were new."""
        now = self._clock()
        rows = [
            {
                "id": tenant.id,
                "name": tenant.name,
                "owner_id": tenant.owner_id,
                "archived": tenant.archived,
                "created_at": to_us(tenant.created_at or now),
            }
            for tenant in new
        ]
        return len(await self._database.write(lambda connection: insert_new(connection, tenants, rows))) if rows else 0

    async def get(self, tenant_id: str) -> Tenant | None:
        """The tenant, if there is one."""
        statement = select(tenants).where(tenants.c.id == tenant_id)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return None if row is None else _tenant(row)

    async def page(self, *, limit: int = 100, after: str = "") -> list[Tenant]:
        """Tenants by id; go on with `after` = the last id of the page."""
        statement = select(tenants).where(tenants.c.id > after).order_by(tenants.c.id).limit(limit)
        return [
            _tenant(row) for row in await self._database.read(lambda connection: connection.execute(statement).all())
        ]

    async def archive(self, tenant_id: str, *, archived: bool = True) -> bool:
        """Archive a tenant, or bring it back. True if that changed it."""
        statement = (
            update(tenants)
            .where(tenants.c.id == tenant_id, tenants.c.archived.is_not(archived))
            .values(archived=archived)
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(
        id=row.id,
        name=row.name,
        owner_id=row.owner_id,
        archived=row.archived,
        created_at=from_us(row.created_at),
    )
