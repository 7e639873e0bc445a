"""The sources of files: added, paused, removed, each with a record of who did it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, select, update

from lamplighter.core.clock import Clock, to_us, utcnow
from lamplighter.core.ids import new_id
from lamplighter.families.files.file_source import BadSource, Counts, FileSource, NewSource, checked, source_of
from lamplighter.integrations import audit, file_credentials
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.file_tables import file_sources
from lamplighter.integrations.storage.tables import integrations, tenants
from lamplighter.integrations.vault import Vault

MOST = 100  # sources of one tenant
SHORTEST_INTERVAL = timedelta(minutes=1)

_row = file_sources.c


class FileSources:
    """The table of sources."""

    def __init__(self, database: Database, vault: Vault, *, clock: Clock = utcnow) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def add(self, new: NewSource) -> FileSource:
        """Have what is there indexed from now on.

        Raises:
            BadSource: there can be no such source, its name is taken, or its tenant has too many.
        """
        checked(new)
        now = self._clock()

        def write(connection: Connection) -> FileSource:
            _one_at_a_time(connection)
            _check_owner(connection, new)
            _check_room(connection, new)
            values = self._values(new, now)
            connection.execute(insert(file_sources), values)
            added = _found(connection, values["id"])
            assert added is not None, "it was just added"
            _record(connection, "file-source.added", added, now)
            return added

        return await self._database.write(write)

    async def get(self, source_id: str) -> FileSource | None:
        """The source, if there is one that is not removed."""
        return await self._database.read(lambda connection: _found(connection, source_id))

    async def page(
        self,
        *,
        tenant_id: str | None = None,
        tenant_ids: Collection[str] | None = None,
        limit: int = 100,
        after: str = "",
    ) -> list[FileSource]:
        """Sources by id, of a tenant, of any of these tenants; go on with `after` = the last id of the page."""
        statement = page_of(_of(tenant_id, tenant_ids), limit, after)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [source_of(row) for row in rows]

    async def counts(self, *, tenant_id: str | None = None, tenant_ids: Collection[str] | None = None) -> Counts:
        """What they hold: it costs what there are sources, however many files."""
        sums = (func.coalesce(func.sum(column), 0) for column in (_row.files, _row.pending, _row.failed))
        statement = select(func.count(), *sums).select_from(file_sources).where(*_of(tenant_id, tenant_ids))
        row = await self._database.read(lambda connection: connection.execute(statement).one())
        sources, files, pending, failed = map(int, row)
        return Counts(sources=sources, files=files, pending=pending, failed=failed)

    async def credentials(self, source_id: str) -> dict[str, str]:
        """What it is opened with. Raises VaultError."""
        statement = select(_row.credentials).where(_row.id == source_id)
        stored = await self._database.read(lambda connection: connection.execute(statement).scalar())
        return file_credentials.unseal(self._vault, source_id, stored)

    async def pause(self, source_id: str) -> bool:
        """Look at it no more; what is indexed stays, and is found. True if that changed it."""
        return await self._change(source_id, "file-source.paused", ("active", "refused"), state="paused")

    async def resume(self, source_id: str) -> bool:
        """Look at it again, also if it was refused. True if that changed it."""
        values: dict[str, Any] = {"state": "active", "failure": None, "next_sync_at": to_us(self._clock())}
        return await self._change(source_id, "file-source.resumed", ("paused", "refused"), **values)

    async def sync_now(self, source_id: str) -> bool:
        """It is looked at with the next sweep, and not only when its time has come. False: it is not active."""
        values: dict[str, Any] = {"next_sync_at": to_us(self._clock())}
        return await self._change(source_id, "file-source.sync-asked", ("active",), **values)

    async def remove(self, source_id: str) -> bool:
        """Forget it and all of its files, which are deleted by and by and found no more from now on. True if it was
        there."""
        values: dict[str, Any] = {
            "state": "removed",
            "name": f"\n{source_id}",
            "credentials": None,
        }  # no other name is like that
        values |= {"next_sync_at": to_us(self._clock())}
        return await self._change(source_id, "file-source.removed", ("active", "paused", "refused"), **values)

    async def _change(self, source_id: str, action: str, states: Collection[str], **values: Any) -> bool:
        now = self._clock()

        def write(connection: Connection) -> bool:
            source = _found(connection, source_id)
            change = update(file_sources).where(_row.id == source_id, _row.state.in_(states)).values(values)
            if source is None or not connection.execute(change).rowcount:
                return False
            _record(connection, action, source, now)
            return True

        return await self._database.write(write)

    def _values(self, new: NewSource, now: datetime) -> dict[str, Any]:
        source_id, at = new_id(to_us(now)), to_us(now)
        return {
            "id": source_id,
            "tenant_id": new.tenant_id,
            "integration_id": new.integration_id,
            "kind": new.kind,
            "name": new.name,
            "place": new.place,
            "credentials": file_credentials.seal(self._vault, source_id, new.credentials),
            "state": "active",
            "phase": "listing",
            "step": 0,
            "listed_from": 0,
            "interval": int(SHORTEST_INTERVAL.total_seconds()),
            "next_sync_at": at,
            "files": 0,
            "pending": 0,
            "failed": 0,
            "created_at": at,
        }


def page_of(conditions: Collection[ColumnElement[bool]], limit: int, after: str) -> Select[Any]:
    """The statement behind `page`."""
    return select(file_sources).where(*conditions, _row.id > after).order_by(_row.id).limit(limit)


def _of(tenant_id: str | None, tenant_ids: Collection[str] | None) -> list[ColumnElement[bool]]:
    conditions = [_row.state != "removed"]
    if tenant_id is not None:
        conditions.append(_row.tenant_id == tenant_id)
    if tenant_ids is not None:
        conditions.append(_row.tenant_id.in_(tenant_ids))
    return conditions


def _found(connection: Connection, source_id: str) -> FileSource | None:
    row: Row[Any] | None = connection.execute(
        select(file_sources).where(_row.id == source_id, _row.state != "removed")
    ).first()
    return None if row is None else source_of(row)


def _check_owner(connection: Connection, new: NewSource) -> None:
    if not connection.execute(select(tenants.c.id).where(tenants.c.id == new.tenant_id)).first():
        raise BadSource(f"there is no tenant {new.tenant_id!r:.60}: add it first.")
    if new.integration_id is None:
        return
    own = (integrations.c.id == new.integration_id, integrations.c.tenant_id == new.tenant_id)
    if not connection.execute(select(integrations.c.id).where(*own)).first():
        raise BadSource(f"the tenant has no integration {new.integration_id!r:.60}: check the id.")


def _check_room(connection: Connection, new: NewSource) -> None:
    names = connection.execute(select(_row.name).where(*_of(new.tenant_id, None)).limit(MOST)).scalars().all()
    if new.name in names:
        raise BadSource(f"the tenant has a source named {new.name!r}: give this one another name.")
    if len(names) >= MOST:
        raise BadSource(f"the tenant has {MOST} sources already: remove one first.")


def _one_at_a_time(connection: Connection) -> None:
    """Or two of one name that are added at once would not see each other. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("lamplighter.file-sources"))))


def _record(connection: Connection, action: str, source: FileSource, now: datetime) -> None:
    changes = {"kind": source.kind, "name": source.name, "place": source.place}
    about = audit.Resource("file-source", source.id, source.tenant_id)
    audit.record(connection, action, [about], now, changes=changes)
