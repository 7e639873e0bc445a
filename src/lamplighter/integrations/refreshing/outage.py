"""What all processes know of a provider that is down: a row, for as long as it is left alone.

Each process has a breaker of its own, which sees what that process asked. If that were all, ten processes would each
have to fail, each send their own probes, and each notice by themselves that the provider is back. The row makes them
one: whoever looks at an integration sees it beside, one process at a time may probe, and its answer counts for all.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, case, delete, select, update

from lamplighter.core.clock import from_us, to_us
from lamplighter.integrations.refreshing.breaker import PROBE_LIMIT
from lamplighter.integrations.storage.database import insert_into
from lamplighter.integrations.storage.tables import outages

PROBE_EVERY = timedelta(seconds=4)  # at the latest: one request of all processes, while tokens may have seconds left


def shut(connection: Connection, slug: str, until: datetime, *, is_probe: bool) -> None:
    """Leave the provider alone until then. Only who probed may shorten what others have said, such as Retry-After."""
    statement = insert_into(connection, outages).values(provider_slug=slug, until=to_us(until))
    new, known = statement.excluded.until, outages.c.until
    later = new if is_probe else case((known > new, known), else_=new)
    connection.execute(statement.on_conflict_do_update(index_elements=["provider_slug"], set_={"until": later}))


def take_probe(connection: Connection, slug: str, seen: int, now: datetime) -> bool:
    """Whether this process may be the one that asks; `seen` is the end of the pause that it knows of."""
    held = update(outages).where(outages.c.provider_slug == slug, outages.c.until == seen)
    return connection.execute(held.values(until=to_us(now + PROBE_LIMIT))).rowcount == 1


def end(connection: Connection, slug: str) -> bool:
    """The provider has answered; True if it was not known yet."""
    return connection.execute(delete(outages).where(outages.c.provider_slug == slug)).rowcount == 1


def left_alone(connection: Connection) -> dict[str, datetime]:
    """The providers that are down, and when one request may find out whether that is over."""
    return {row.provider_slug: from_us(row.until) for row in connection.execute(select(outages))}
