"""Restoring: copies of what is archived, in the live table for a while. The archive stays as it is.

A copy is marked with when it goes. It has its place and hash, so it is found once, verified, and not archived again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection, delete, select, update

from lamplighter.core.clock import Clock, to_us, utcnow
from lamplighter.core.errors import ConfigError, LamplighterError
from lamplighter.families.audit import objects
from lamplighter.families.audit.archive import Archive, archives_by
from lamplighter.families.audit.storage import Storage
from lamplighter.integrations.audit import Resource, record
from lamplighter.integrations.auditing.chain import Sealed
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.database import Database, insert_into
from lamplighter.integrations.storage.tables import audit

BATCH = 500  # records in one transaction: refreshes wait for no more
LONGEST = timedelta(days=90)

_row, _archive = audit.c, audit_archives.c


class NotRestorable(LamplighterError):
    """The archive is not there any more, or is being written."""


class Restoring:
    """Brings archives back into the live table, and lets the copies go."""

    def __init__(self, database: Database, storage: Storage, *, clock: Clock = utcnow, batch: int = BATCH) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock
        self._batch = batch

    async def restore(self, archive: Archive, lasting: timedelta) -> int:
        """Have copies of all that is left in it for so long from now on; returns how many there are.

        It may be repeated, whatever became of it before.

        Raises:
            ConfigError: for no time, or for too long.
            NotRestorable: it is not there any more, or is being written.
            ArchiveError: its object cannot be read.
        """
        if not timedelta() < lasting <= LONGEST:
            raise ConfigError(f"copies are restored for up to {LONGEST.days}d: say for how long.")
        until, copies = self._clock() + lasting, 0
        await self._database.write(partial(_mark, archive=archive, until=until, now=self._clock()))
        async for some in await objects.read(self._storage, archive):
            left = [one for one in some if one.content is not None]
            for start in range(0, len(left), self._batch):
                batch = left[start : start + self._batch]
                await self._database.write(partial(_copy, chain=archive.chain, records=batch, until=until))
            copies += len(left)
        return copies

    async def give_back(self) -> int:
        """Delete the copies whose time is over; returns how many."""
        now, gone = to_us(self._clock()), 0
        over = select(audit_archives).where(_archive.restored_until <= now)
        for archive in await archives_by(self._database, over):
            while some := await self._database.write(
                partial(_delete_copies, archive=archive, now=now, limit=self._batch)
            ):
                gone += some
            await self._database.write(partial(_unmark, archive=archive, now=now))
        return gone


def _mark(connection: Connection, *, archive: Archive, until: datetime, now: datetime) -> None:
    """First of all, so that nothing of it is destroyed meanwhile."""
    mine = update(audit_archives).where(
        _archive.id == archive.id,
        _archive.generation == archive.generation,
        _archive.state == "archived",
        _archive.next.is_(None),
    )
    if connection.execute(mine.values(restored_until=to_us(until))).rowcount != 1:
        raise NotRestorable("the archive is not there any more, or is being written: list archives, and try again.")
    about = Resource("audit-archive", archive.id, archive.chain or None)
    record(connection, "audit-archive.restored", [about], now, metadata={"day": archive.day, "until": str(until)})


def _copy(connection: Connection, *, chain: str, records: Sequence[Sealed], until: datetime) -> None:
    rows = [
        {**(one.content or {}), "chain": chain, "seq": one.seq, "hash": one.hash, "restored_until": to_us(until)}
        for one in records
    ]
    connection.execute(insert_into(connection, audit).on_conflict_do_nothing(), rows)
    copies = update(audit).where(_row.chain == chain, _row.seq.in_([one.seq for one in records]))
    connection.execute(copies.where(_row.restored_until.is_not(None)).values(restored_until=to_us(until)))


def _delete_copies(connection: Connection, *, archive: Archive, now: int, limit: int) -> int:
    within = _row.seq.between(archive.first_seq, archive.last_seq)
    some = select(_row.id).where(_row.chain == archive.chain, within, _row.restored_until <= now).limit(limit)
    return connection.execute(delete(audit).where(_row.id.in_(some.scalar_subquery()))).rowcount


def _unmark(connection: Connection, *, archive: Archive, now: int) -> None:
    mine = update(audit_archives).where(_archive.id == archive.id, _archive.restored_until <= now)
    connection.execute(mine.values(restored_until=None))
