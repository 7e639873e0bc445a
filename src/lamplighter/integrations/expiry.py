"""When tokens expire: how many in each of the next stretches of time, how late refreshes are, and which lapse first.

No index has tokens by their end, for every refresh would have to write it. They are found by when they are to be
refreshed, which is before that; and those that nothing refreshes apart. Of each kind so many are looked at, the most
urgent first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, case, func, select, union_all

from lamplighter.core.clock import from_us, maybe_from_us, to_us
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.tables import integrations

MOST = 10_000  # tokens of each kind that are looked at
NAMED = 8
PAST = -1  # the number of the stretch that is over

_row = integrations.c


class Stretch(NamedTuple):
    """A piece of the time to come, and how many tokens expire in it."""

    since: datetime
    until: datetime
    tokens: int


class Lapsing(NamedTuple):
    """A token that expires soon. `refresh_at`: when it is to be refreshed; None: nothing does that."""

    id: str
    tenant_id: str
    provider_slug: str
    expires_at: datetime
    refresh_at: datetime | None


class Expiry(Struct, frozen=True, kw_only=True):
    """What expires. `past`: tokens of active integrations that have expired; `late`: those that should have been
    refreshed by now, and `latest` since when the first of them; `is_cut`: there are more than were looked at."""

    stretches: list[Stretch]
    past: int
    late: int
    latest: datetime | None
    soonest: list[Lapsing]
    is_cut: bool


async def look_ahead(database: Database, now: datetime, step: timedelta, stretches: int) -> Expiry:
    """What expires in so many stretches of that length from now on."""
    from_, length = to_us(now), int(step.total_seconds() * 1_000_000)
    until = from_ + length * stretches

    def read(connection: Connection) -> tuple[dict[int, int], Row[Any], Sequence[Row[Any]], Row[Any]]:
        counts = {number: count for number, count in connection.execute(by_stretch(from_, length, until))}  # noqa: C416
        late = connection.execute(lateness(from_)).one()
        soonest = connection.execute(soonest_until(until)).all()
        return counts, late, soonest, connection.execute(looked_at(until)).one()

    counts, late, soonest, looked = await database.read(read)
    return Expiry(
        stretches=[Stretch(now + step * n, now + step * (n + 1), counts.get(n, 0)) for n in range(stretches)],
        past=counts.get(PAST, 0),
        late=late.tokens,
        latest=maybe_from_us(late.since),
        soonest=[_lapsing(row) for row in soonest],
        is_cut=max(looked) > MOST,
    )


def by_stretch(now: int, length: int, until: int) -> Select[Any, Any]:
    """How many expire in each stretch."""
    found = _ending(until).subquery()
    number = case((found.c.expires_at < now, PAST), else_=(found.c.expires_at - now) // length)
    return select(number.label("number"), func.count().label("tokens")).group_by(number)


def lateness(now: int) -> Select[int, Any]:
    """How many should have been refreshed by now, and since when the first."""
    found = _refreshed_by(now).limit(MOST).subquery()
    return select(func.count().label("tokens"), func.min(found.c.refresh_at).label("since"))


def soonest_until(until: int) -> Select[Any]:
    """Which expire first."""
    found = _ending(until).subquery()
    return select(found).order_by(found.c.expires_at, found.c.id).limit(NAMED)


def looked_at(until: int) -> Select[Any]:
    """How many of each kind there are, up to one more than are looked at."""
    kinds = (_refreshed_by(until).limit(MOST + 1), _never_refreshed(until).limit(MOST + 1))
    return select(*(select(func.count()).select_from(kind.subquery()).scalar_subquery() for kind in kinds))


def _ending(until: int) -> Any:
    """Those that expire before a moment, of those that are looked at."""
    kinds = (_refreshed_by(until).limit(MOST), _never_refreshed(until).limit(MOST))
    found = union_all(*(select(kind.subquery()) for kind in kinds)).subquery()
    return select(found).where(found.c.expires_at < until)


def _refreshed_by(until: int) -> Select[Any]:
    """In the order of their index."""
    return _active().where(_row.refresh_at < until).order_by(_row.refresh_at, _row.id)


def _never_refreshed(until: int) -> Select[Any]:
    return _active().where(_row.refresh_at.is_(None), _row.expires_at < until)


def _active() -> Select[Any]:
    shown = (_row.id, _row.tenant_id, _row.provider_slug, _row.expires_at, _row.refresh_at)
    return select(*shown).where(_row.status == "active")


def _lapsing(row: Row[Any]) -> Lapsing:
    return Lapsing(row.id, row.tenant_id, row.provider_slug, from_us(row.expires_at), maybe_from_us(row.refresh_at))
