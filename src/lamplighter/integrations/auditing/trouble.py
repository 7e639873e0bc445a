"""What is wrong with chains of the audit log, as far as is known: for whoever watches over all of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from lamplighter.core.clock import from_us
from lamplighter.integrations.storage.audit_tables import audit_chains

MOST = 1000  # chains that are told

_chain = audit_chains.c


def broken(connection: Connection) -> dict[str, str]:
    """By tenant ("_": what concerns no single one), what was not as it was sealed when the chain was verified."""
    found = select(_chain.chain, _chain.broken).where(_chain.broken.is_not(None)).order_by(_chain.chain).limit(MOST)
    return {row.chain or "_": row.broken for row in connection.execute(found)}


def failing(connection: Connection, now: datetime) -> dict[str, timedelta]:
    """By tenant, for how long a chain cannot be archived."""
    found = select(_chain.chain, _chain.failing_since).where(_chain.failing_since.is_not(None))
    rows = connection.execute(found.order_by(_chain.failing_since).limit(MOST))
    return {row.chain or "_": now - from_us(row.failing_since) for row in rows}
