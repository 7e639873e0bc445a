"""Destroying records of the live table whose time is over, a batch in a transaction, unless they are held.

Their chain keeps where they were, so that what is left of it can still be verified.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from lamplighter.core.config import Settings
from lamplighter.integrations.auditing.chain import runs
from lamplighter.integrations.auditing.gaps import destroyed, take_out
from lamplighter.integrations.auditing.rules import policy_in_force
from lamplighter.integrations.storage.audit_tables import audit_archives
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import audit

BATCH = 500  # records in one transaction: refreshes wait for no more

_row, _archive = audit.c, audit_archives.c


async def destroy_expired(database: Database, settings: Settings, now: datetime, *, batch: int = BATCH) -> int:
    """Destroy what is past its time; returns how many. Safe in several processes at once."""
    total = 0
    while gone := await database.write(lambda connection: destroy_some(connection, settings, now, batch)):
        total += gone
    return total


def destroy_some(connection: Connection, settings: Settings, now: datetime, limit: int) -> int:
    """One transaction of it. What is on its way into an archive is left to that; copies of what is in one too."""
    is_old = policy_in_force(connection, settings).to_destroy(now)
    on_its_way = select(_archive.chain).where(_archive.state.in_(("planned", "written")))
    unmoved = _row.chain.is_(None) | _row.chain.not_in(on_its_way)
    statement = select(_row.id, _row.chain).where(is_old, _row.restored_until.is_(None), unmoved)
    rows = connection.execute(statement.order_by(_row.at).limit(limit)).all()
    chains: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.chain is not None:
            chains[row.chain].append(row.id)
    for chain in sorted(chains):  # in one order everywhere, or two could wait for each other
        _destroy(connection, chain, chains[chain], now)
    loose = [row.id for row in rows if row.chain is None]
    connection.execute(delete(audit).where(_row.id.in_(loose), _row.chain.is_(None)))
    return len(rows)


def _destroy(connection: Connection, chain: str, ids: Sequence[str], now: datetime) -> None:
    """Those that are still there once the chain is ours."""
    take_out(connection, chain)
    there = select(_row.seq, _row.hash).where(_row.id.in_(ids), _row.chain == chain).order_by(_row.seq)
    found = connection.execute(there).all()
    connection.execute(delete(audit).where(_row.id.in_(ids)))
    destroyed(connection, chain, runs((row.seq, row.hash) for row in found), now)
