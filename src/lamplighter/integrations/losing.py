"""Whose access is about to end, or has ended lately: counted by provider, for whoever watches over all of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from lamplighter.core.clock import to_us
from lamplighter.core.ids import first_id
from lamplighter.integrations.storage.tables import integrations, notices

LAPSING = timedelta(minutes=2)  # in which a token has to end, to be told of if nobody says otherwise
LATE = timedelta(seconds=10)  # a refresh that is due for longer is not just under way
MOST = 1000  # integrations that are counted
LOST = ("integration.revoked", "integration.expired", "integration.error")


def lapsing(connection: Connection, within: timedelta, now: datetime) -> dict[str, int]:
    """Active integrations whose refresh is late, and whose token ends within that time or has ended."""
    row = integrations.c
    found = (
        select(row.provider_slug)
        .where(row.status == "active", row.refresh_at < to_us(now - LATE), row.expires_at < to_us(now + within))
        .order_by(row.refresh_at, row.id)
        .limit(MOST)
        .subquery()
    )
    counted = select(found.c.provider_slug, func.count()).group_by(found.c.provider_slug)
    return {slug: n for slug, n in connection.execute(counted)}  # noqa: C416 - rows are no pairs to mypy


def lost(connection: Connection, since: datetime) -> dict[str, int]:
    """Integrations that lost their access since then, each as often as it did."""
    row = notices.c
    counted = (
        select(row.provider_slug, func.count())
        .where(row.id >= first_id(to_us(since)), row.at >= to_us(since), row.event.in_(LOST))
        .group_by(row.provider_slug)
    )
    return {slug: n for slug, n in connection.execute(counted)}  # noqa: C416 - rows are no pairs to mypy
