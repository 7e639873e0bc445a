"""Legal holds: what is covered by one is not destroyed, whatever its age, until somebody releases it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from lamplighter.core.clock import Clock, from_us, maybe_from_us, to_us, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.core.ids import new_id
from lamplighter.integrations.audit import Resource, actor, record
from lamplighter.integrations.auditing.policy import ALL, Scope, checked_scope
from lamplighter.integrations.storage.audit_tables import audit_holds
from lamplighter.integrations.storage.database import Database

MOST = 200  # at once
LONGEST_REASON = 500  # characters

_hold = audit_holds.c


class Hold(Scope, frozen=True, kw_only=True):
    """What is held, why, and who said so; once it is released, who that was."""

    id: str
    reason: str
    user_id: str
    created_at: datetime
    released_at: datetime | None
    released_by: str | None


class Holds:
    """Holds on records of tenants and actions. Placing and releasing one is a record of its own."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def page(self, *, released: bool = False, limit: int = 100, before: str | None = None) -> list[Hold]:
        """Those in force, the newest first; with `released` also those that are not any more."""
        statement = select(audit_holds).order_by(_hold.id.desc()).limit(limit)
        if not released:
            statement = statement.where(_hold.released_at.is_(None))
        if before is not None:
            statement = statement.where(_hold.id < before)
        return [_hold_of(row) for row in await self._database.read(lambda one: one.execute(statement).all())]

    async def place(self, tenant: str, action: str, *, reason: str) -> Hold:
        """Nothing of it is destroyed from now on. Raises ConfigError."""
        checked_scope(tenant, action)
        reason = reason.strip()
        if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
            raise ConfigError(f"a hold needs a reason of 1 to {LONGEST_REASON} printable characters: say why.")
        now = self._clock()
        hold = Hold(
            id=new_id(to_us(now)),
            tenant=tenant,
            action=action,
            reason=reason,
            user_id=actor().user_id,
            created_at=now,
            released_at=None,
            released_by=None,
        )
        await self._database.write(lambda connection: _place(connection, hold))
        return hold

    async def release(self, id_: str) -> bool:
        """What it covered goes when its time is over; False: there is no such hold (any more)."""
        now, who = self._clock(), actor().user_id
        statement = update(audit_holds).where(_hold.id == id_, _hold.released_at.is_(None))

        def release(connection: Connection) -> bool:
            if not connection.execute(statement.values(released_at=to_us(now), released_by=who)).rowcount:
                return False
            tenant = connection.execute(select(_hold.tenant).where(_hold.id == id_)).scalar_one()
            record(connection, "audit-hold.released", [_resource(id_, tenant)], now)
            return True

        return await self._database.write(release)


def held_now(connection: Connection) -> list[Scope]:
    """What is held."""
    statement = select(_hold.tenant, _hold.action).where(_hold.released_at.is_(None)).distinct()
    return [Scope(tenant=row.tenant, action=row.action) for row in connection.execute(statement)]


def _place(connection: Connection, hold: Hold) -> None:
    in_force = select(func.count()).select_from(audit_holds).where(_hold.released_at.is_(None))
    if (connection.scalar(in_force) or 0) >= MOST:
        raise ConfigError(f"there are {MOST} holds in force already: release one, or place a wider one.")
    values = {name: getattr(hold, name) for name in ("id", "tenant", "action", "reason", "user_id")}
    connection.execute(insert(audit_holds), [values | {"created_at": to_us(hold.created_at)}])
    metadata = {"action": hold.action, "reason": hold.reason}
    record(connection, "audit-hold.placed", [_resource(hold.id, hold.tenant)], hold.created_at, metadata=metadata)


def _resource(id_: str, tenant: str) -> Resource:
    return Resource("audit-hold", id_, None if tenant in {"", ALL} else tenant)


def _hold_of(row: Row[Any]) -> Hold:
    dates = {"created_at": from_us(row.created_at), "released_at": maybe_from_us(row.released_at)}
    return Hold(**{**row._mapping, **dates})
