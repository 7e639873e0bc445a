"""What is wrong with the audit log: chains that are not what was sealed, and records that cannot be archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection

from lamplighter.app.why.telling import rough
from lamplighter.integrations.auditing import trouble
from lamplighter.integrations.storage.database import Database

FAILING = timedelta(hours=2)  # an archiver looks every hour
NAMED = 5  # chains that are told one by one


class AuditSeen(Struct, frozen=True, kw_only=True):
    """What the tables told, by tenant."""

    broken: Mapping[str, str]
    failing: Mapping[str, timedelta]


async def look(database: Database, *, now: datetime) -> AuditSeen:
    """Read all that the checks need. Raises StoreError."""

    def read(connection: Connection) -> AuditSeen:
        return AuditSeen(broken=trouble.broken(connection), failing=trouble.failing(connection, now))

    return await database.read(read)


def audit_chain_broken(seen: AuditSeen) -> Iterator[str]:
    """Somebody changed what was sealed, or an archive is gone."""
    for tenant, what in list(seen.broken.items())[:NAMED]:
        yield f"the audit log of {tenant} is not what was sealed: {what} Look with `lamplighter audit verify {tenant}`."
    if len(seen.broken) > NAMED:
        yield f"{len(seen.broken) - NAMED:,} more chains of the audit log are broken: see `lamplighter audit chains`."


def audit_archive_failing(seen: AuditSeen) -> Iterator[str]:
    """Its records stay in the table."""
    long = {tenant: span for tenant, span in seen.failing.items() if span > FAILING}
    if long:
        longest = rough(max(long.values()).total_seconds())
        yield (
            f"the audit log of {len(long):,} tenants cannot be archived, for {longest} by now: "
            "`lamplighter audit chains` says why."
        )


CHECKS: Mapping[str, Callable[[AuditSeen], Iterator[str]]] = {
    check.__name__.replace("_", "-"): check for check in (audit_chain_broken, audit_archive_failing)
}
