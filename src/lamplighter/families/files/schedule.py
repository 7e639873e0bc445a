"""When a source is looked at: what is due, what came of a look, and when to look again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from lamplighter.core.clock import to_us
from lamplighter.families.files.file_source import FileSource, source_of
from lamplighter.families.files.syncing import HEARTBEAT, Progress
from lamplighter.integrations.notices.outbox import tell
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import file_sources
from lamplighter.integrations.storage.tables import integrations, tenants

BATCH = 500
JITTER = 0.1  # of the interval, later: sources that were added together come apart
LISTED_EVERY = 10  # times as long: the interval of what can only be listed anew

_row = file_sources.c


async def due(database: Database, now: datetime) -> list[FileSource]:
    """Some whose time has come, the longest due first. Each is due again soon, in case that nobody goes on with it;
    those of archived tenants are put off."""

    def write(connection: Connection) -> list[FileSource]:
        found = select(file_sources, tenants.c.archived).join(tenants, tenants.c.id == _row.tenant_id)
        come = found.where(_row.state == "active", _row.next_sync_at <= to_us(now)).order_by(_row.next_sync_at)
        rows = connection.execute(come.limit(BATCH)).all()
        ids = [row.id for row in rows]
        connection.execute(update(file_sources).where(_row.id.in_(ids)).values(next_sync_at=to_us(now + HEARTBEAT)))
        return [source_of(row) for row in rows if not row.archived]

    return await database.write(write)


async def unread(database: Database, after: str) -> list[FileSource]:
    """Active sources with files that are to be read, by id."""
    found = select(file_sources).join(tenants, tenants.c.id == _row.tenant_id)
    some = found.where(_row.pending > 0, _row.id > after, _row.state == "active", tenants.c.archived.is_(False))
    return await _read(database, some.order_by(_row.id).limit(BATCH))


async def removed(database: Database) -> list[str]:
    """The ids of some that are to be deleted."""
    statement = select(_row.id).where(_row.state == "removed").limit(BATCH)
    return list(await database.read(lambda connection: connection.execute(statement).scalars().all()))


async def welcome_back(database: Database, now: datetime) -> int:
    """Sources that were refused while their integration was not connected, and is again, are looked at. How many."""
    integration = integrations.c
    connected = select(integration.id).where(
        integration.id == _row.integration_id,
        integration.status == "active",
        integration.status_changed_at > _row.next_sync_at,  # which is when it was refused
    )
    again = update(file_sources).where(_row.state == "refused", connected.exists())
    values = {"state": "active", "failure": None, "next_sync_at": to_us(now)}
    return await database.write(lambda connection: connection.execute(again.values(values)).rowcount)


async def refuse(database: Database, source: FileSource, reason: str, now: datetime, *, is_told: bool) -> None:
    """It is looked at no more until somebody resumes it, or connects its integration. `is_told`: people were told of
    the cause already, which is that of the integration."""
    values = {"state": "refused", "failure": reason, "next_sync_at": to_us(now)}

    def write(connection: Connection) -> None:
        if _changed(connection, source.id, values) and not is_told:
            key, facts = f"{source.id} {to_us(now)}", {"source": source.name, "reason": reason}
            tell(connection, "files.refused", key=key, tenant_id=source.tenant_id, facts=facts, at=now)

    await database.write(write)


async def put_off(database: Database, source_id: str, reason: str, until: datetime) -> None:
    """It did not answer; a job looks again then."""
    await _change(database, source_id, {"failure": reason, "next_sync_at": to_us(until + HEARTBEAT)})


async def synced(
    database: Database,
    source: FileSource,
    progress: Progress,
    now: datetime,
    *,
    shortest: timedelta,
    longest: timedelta,
    has_delta: bool,
) -> None:
    """Everything was told. Look again sooner where something changed, and later where nothing did."""
    factor = 1 if has_delta else LISTED_EVERY
    least, most = shortest.total_seconds() * factor, max(longest, shortest).total_seconds() * factor
    interval = max(least, min(most, source.interval * (0.5 if progress.changed else 1.5)))
    later = timedelta(seconds=interval * (1 + JITTER * random.random()))  # noqa: S311 - they come apart
    values = {"synced_at": to_us(now), "failure": None, "interval": int(interval), "next_sync_at": to_us(now + later)}
    await _change(database, source.id, values)


async def _change(database: Database, source_id: str, values: dict[str, Any]) -> None:
    await database.write(lambda connection: _changed(connection, source_id, values))


def _changed(connection: Connection, source_id: str, values: dict[str, Any]) -> bool:
    statement = update(file_sources).where(_row.id == source_id, _row.state == "active").values(values)
    return connection.execute(statement).rowcount > 0


async def _read(database: Database, statement: Any) -> list[FileSource]:
    rows: Sequence[Row[Any]] = await database.read(lambda connection: connection.execute(statement).all())
    return [source_of(row) for row in rows]
