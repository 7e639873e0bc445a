"""How a tenant's recipients are told of an event: as usual, in digests, or not at all. Its list has everything."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import cast, get_args

from msgspec import Struct
from sqlalchemy import Connection, delete, or_, select

from lamplighter.core.clock import Clock, utcnow
from lamplighter.integrations import audit
from lamplighter.integrations.notices.digest import Digest
from lamplighter.integrations.notices.events import BadEvent, find_for, heard_by
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.tables import preferences, recipients, tenants

OPERATORS = ""  # in place of a tenant's id

_row = preferences.c


class Preference(Struct, frozen=True, kw_only=True):
    """How a tenant's recipients, or (None) the operators', are told of an event.

    `digest`: `immediate` is at once, and a digest of what is too much within 15 minutes; `hourly` and `daily` are one
    message in that time at most, of each event and provider.
    """

    tenant_id: str | None
    event: str
    muted: bool = False
    digest: Digest = "immediate"


class Preferences:
    """What each tenant, and the operators, have chosen."""

    def __init__(self, database: Database, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._clock = clock

    async def all(self, tenant_id: str | None) -> list[Preference]:
        """Of every event that it can hear of, whether it has chosen or not."""

        def read(connection: Connection) -> dict[str, Preference]:
            found = connection.execute(select(preferences).where(_row.tenant_id == (tenant_id or OPERATORS)))
            return {
                row.event: Preference(
                    tenant_id=tenant_id, event=row.event, muted=row.muted, digest=cast("Digest", row.digest)
                )
                for row in found
            }

        chosen = await self._database.read(read)
        names = (name for name, event in heard_by(tenant_id).items() if not event.is_alarm)
        return [chosen.get(name) or Preference(tenant_id=tenant_id, event=name) for name in names]

    async def set(self, wanted: Preference) -> None:
        """From now on. What waits for a digest goes when that is due by the new choice.

        Raises:
            BadEvent: the tenant can hear of no such event, there is no such tenant, or no such digest.
        """
        if find_for(wanted.event, wanted.tenant_id).is_alarm:
            raise BadEvent(f"{wanted.event} cannot be muted or put off: silence alerts, or choose recipients' events.")
        if wanted.digest not in get_args(Digest):
            raise BadEvent(f"there is no digest {wanted.digest!r:.60}: give one of {', '.join(get_args(Digest))}.")
        now = self._clock()

        def write(connection: Connection) -> None:
            check_tenant(connection, wanted.tenant_id)
            key = {"tenant_id": wanted.tenant_id or OPERATORS, "event": wanted.event}
            chosen = {"muted": wanted.muted, "digest": wanted.digest}
            if wanted == Preference(tenant_id=wanted.tenant_id, event=wanted.event):  # as usual
                connection.execute(delete(preferences).filter_by(**key))
            else:
                statement = insert_into(connection, preferences).values(**key, **chosen)
                connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=chosen))
            about = audit.Resource("event", wanted.event, wanted.tenant_id)
            audit.record(connection, "notification.preferred", [about], now, changes=chosen)

        await self._database.write(write)


def check_tenant(connection: Connection, tenant_id: str | None) -> None:
    """Raises BadEvent if there is no such tenant."""
    if tenant_id is not None and not connection.execute(select(tenants.c.id).where(tenants.c.id == tenant_id)).first():
        raise BadEvent(f"there is no tenant {tenant_id!r:.60}: add it first.")


def muted_for(connection: Connection, tenant_ids: AbstractSet[str]) -> set[tuple[str | None, str]]:
    """Which of those tenants, and None for the operators, are not told of which events."""
    asked = or_(_row.tenant_id.in_(tenant_ids), _row.tenant_id == OPERATORS)
    found = connection.execute(select(_row.tenant_id, _row.event).where(asked, _row.muted))
    return {(tenant_id or None, event) for tenant_id, event in found}


def digest_of(connection: Connection, recipient_id: str, event: str) -> Digest:
    """How that recipient's tenant wants to hear of an event."""
    statement = (
        select(_row.digest)
        .join(recipients, _row.tenant_id == recipients.c.tenant_id)
        .where(recipients.c.id == recipient_id, _row.event == event)
    )
    operators = select(_row.digest).where(_row.tenant_id == OPERATORS, _row.event == event)
    is_operators = select(recipients.c.id).where(recipients.c.id == recipient_id, recipients.c.tenant_id.is_(None))
    found = connection.execute(statement.union_all(operators.where(is_operators.exists()))).scalar()
    return cast("Digest", found or "immediate")
