"""The tenants whose integrations are kept alive."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from msgspec import Struct
from sqlalchemy import Row, select, update

from lamplighter.core.clock import Clock, from_us, to_us, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.storage.database import Database, insert_new
from lamplighter.integrations.storage.tables import tenants

MOST_OWNED = 1000
SHORTEST_INTERVAL, LONGEST_INTERVAL = timedelta(minutes=1), timedelta(days=365)


class Tenant(Struct, frozen=True, kw_only=True):
    """`owner_id` is the owner's subject at the identity provider.

    `health_interval` (seconds): how often its integrations are checked, rather than as often as their providers say.
    `time_zone` (IANA): where its days begin at midnight, rather than in UTC.
    """

    id: str
    name: str
    owner_id: str
    archived: bool = False
    health_interval: int | None = None
    time_zone: str | None = None
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
                "health_interval": tenant.health_interval,
                "time_zone": None if tenant.time_zone is None else checked_zone(tenant.time_zone),
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

    async def of_owner(self, owner_id: str) -> frozenset[str]:
        """The ids of those that somebody owns, but for archived ones; at most `MOST_OWNED`."""
        statement = select(tenants.c.id).where(tenants.c.owner_id == owner_id, tenants.c.archived.is_(False))
        found = statement.order_by(tenants.c.id).limit(MOST_OWNED)
        return frozenset(await self._database.read(lambda connection: connection.execute(found).scalars().all()))

    async def archive(self, tenant_id: str, *, archived: bool = True) -> bool:
        """Archive a tenant, or bring it back. True if that changed it."""
        statement = (
            update(tenants)
            .where(tenants.c.id == tenant_id, tenants.c.archived.is_not(archived))
            .values(archived=archived)
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)

    async def check_every(self, tenant_id: str, interval: timedelta | None) -> bool:
        """How often the health of its integrations is checked; None: as their providers say. False: no such tenant.

        It counts from the next check of each on. Raises ConfigError for less than a minute or more than a year.
        """
        if interval is not None and not SHORTEST_INTERVAL <= interval <= LONGEST_INTERVAL:
            raise ConfigError(f"health cannot be checked every {interval}: give between a minute and a year.")
        seconds = None if interval is None else int(interval.total_seconds())
        statement = update(tenants).where(tenants.c.id == tenant_id).values(health_interval=seconds)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)

    async def live_in(self, tenant_id: str, time_zone: str | None) -> bool:
        """Where its days begin at midnight; None: in UTC. False: no such tenant. Raises ConfigError for no zone."""
        zone = None if time_zone is None else checked_zone(time_zone)
        statement = update(tenants).where(tenants.c.id == tenant_id).values(time_zone=zone)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1)


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """Read once: it goes through a folder of hundreds of files."""
    return frozenset(available_timezones())


def checked_zone(name: str) -> str:
    """The name of a time zone that there is. Raises ConfigError for any other."""
    zones = _zones()
    if name not in zones:
        near = difflib.get_close_matches(name[:60], zones, n=1)
        hint = f"did you mean {near[0]}?" if near else "give a name such as Europe/Berlin."
        raise ConfigError(f"there is no time zone {name!r:.60}: {hint}")
    return name


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(
        id=row.id,
        name=row.name,
        owner_id=row.owner_id,
        archived=row.archived,
        health_interval=row.health_interval,
        time_zone=row.time_zone,
        created_at=from_us(row.created_at),
    )
