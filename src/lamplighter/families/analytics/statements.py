"""The rollups in SQL: each makes windows anew of all that is in them, and writes them over what is there."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Select,
    Text,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    update,
)

from lamplighter.families.analytics.level import ALL
from lamplighter.integrations.storage.analytics_tables import measurements, rollup_marks, rollups
from lamplighter.integrations.storage.database import insert_into
from lamplighter.integrations.storage.many import Columns, Insert, Read, Upsert, Write
from lamplighter.integrations.storage.tables import health_spans, integrations

_measured = measurements.c
_rollup = rollups.c

HOUR = 3_600_000_000  # microseconds

WINDOWS: Columns = {
    "metric": Text(),
    "tenant_id": Text(),
    "resolution": Text(),
    "begins_at": BigInteger(),
    "ends_at": BigInteger(),
}
PARTS: Columns = {**WINDOWS, "parts": Text()}
_KEY = ("metric", "tenant_id", "resolution", "begins_at")
_SUMS = ("ends_at", "count", "total", "least", "most")


def _window(given: FromClause) -> list[ColumnElement[Any]]:
    return [given.c[name] for name in WINDOWS]


def _within(given: FromClause, at: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(at >= given.c.begins_at, at < given.c.ends_at)


def _write(sums: Select[Any], insert: Insert) -> Any:
    """Over what is there, but for the sketch, which is written next."""
    made = insert(rollups).from_select(("metric", "tenant_id", "resolution", "begins_at", *_SUMS), sums)
    return made.on_conflict_do_update(
        index_elements=list(_KEY), set_={name: made.excluded[name] for name in (*_SUMS, "sketch")}
    )


def _measured_in(given: FromClause) -> ColumnElement[bool]:
    of_tenant = and_(_measured.metric == given.c.metric, _measured.tenant_id == given.c.tenant_id)
    return and_(of_tenant, _within(given, _measured.at))


def _sum_measurements(given: FromClause, insert: Insert) -> Any:
    window = _window(given)
    sums = (
        select(*window, *_sums())
        .join(measurements, _measured_in(given))
        .where(literal(1) == 1)  # or SQLite would take ON CONFLICT for the join's
        .group_by(*window)
    )
    return _write(sums, insert)


def _count_buckets(given: FromClause) -> Select[Any]:
    key = [given.c.metric, given.c.tenant_id, given.c.begins_at]
    counted = select(*key, _measured.bucket, func.count().label("n")).join(measurements, _measured_in(given))
    return counted.group_by(*key, _measured.bucket)


def _sums() -> tuple[ColumnElement[Any], ...]:
    value = _measured.value
    return func.count(), func.sum(value), func.min(value), func.max(value)


def _of_everybody(metric: str, since: int, until: int) -> ColumnElement[bool]:
    return and_(_measured.metric == metric, _measured.at >= since, _measured.at < until)


def sum_hours_of_all(connection: Connection, metric: str, since: int, until: int) -> None:
    """Make all hours of UTC between two of their beginnings: one walk along the index, however many these are.

    A join with the windows, as for tenants, PostgreSQL might do by comparing each of them with all that was measured.
    """
    hour = _measured.at - _measured.at % HOUR
    window = (literal(metric), literal(ALL), literal("hour"), hour, hour + HOUR)
    sums = select(*window, *_sums()).where(_of_everybody(metric, since, until)).group_by(hour)
    connection.execute(_write(sums, partial(insert_into, connection)))


def count_buckets_of_all(
    connection: Connection, metric: str, since: int, until: int
) -> list[tuple[int, int | None, int]]:
    """Beginnings of the same hours, buckets, and how many values are in each."""
    hour = (_measured.at - _measured.at % HOUR).label("hour")
    counted = select(hour, _measured.bucket, func.count()).where(_of_everybody(metric, since, until))
    return [(at, bucket, n) for at, bucket, n in connection.execute(counted.group_by(hour, _measured.bucket))]


def _part_of(given: FromClause) -> ColumnElement[bool]:
    return and_(
        _rollup.metric == given.c.metric,
        _rollup.tenant_id == given.c.tenant_id,
        _rollup.resolution == given.c.parts,
        _within(given, _rollup.begins_at),
    )


def _sum_parts(given: FromClause, insert: Insert) -> Any:
    window = _window(given)
    sums = (
        select(
            *window, func.sum(_rollup.count), func.sum(_rollup.total), func.min(_rollup.least), func.max(_rollup.most)
        )
        .join(rollups, _part_of(given))
        .where(literal(1) == 1)
        .group_by(*window)
    )
    return _write(sums, insert)


def _sketches_of_parts(given: FromClause) -> Select[Any]:
    key = [given.c.metric, given.c.tenant_id, given.c.begins_at]
    return select(*key, _rollup.sketch).join(rollups, _part_of(given)).where(_rollup.sketch.is_not(None))


def _store_sketches(given: FromClause) -> Any:
    same = [_rollup[name] == given.c[name] for name in _KEY]
    return update(rollups).where(*same).values(sketch=given.c.sketch)


def _sum_uptime(given: FromClause, insert: Insert) -> Any:
    """A span lasts until the next one of its integration begins, the last one until `now`."""
    spans = _spans(given)
    window = _window(given)
    known = _least(spans.c.ended_at, given.c.ends_at) - _greatest(spans.c.began_at, given.c.begins_at)
    good = case((spans.c.health == "healthy", known), else_=0)
    sums = (
        select(*window, func.sum(known), func.sum(good), literal(None, Float()), literal(None, Float()))
        .join(
            spans,
            and_(
                or_(given.c.tenant_id == ALL, spans.c.tenant_id == given.c.tenant_id),
                spans.c.began_at < given.c.ends_at,
                spans.c.ended_at > given.c.begins_at,
                spans.c.health.is_not(None),
            ),
        )
        .where(literal(1) == 1)
        .group_by(*window)
    )
    return _write(sums, insert)


def _spans(given: FromClause) -> FromClause:
    span, now = health_spans.c, select(func.max(given.c.now)).scalar_subquery()
    following = func.lead(span.began_at).over(partition_by=span.integration_id, order_by=span.began_at)
    tenants = select(given.c.tenant_id)
    wanted = or_(integrations.c.tenant_id.in_(tenants), literal(ALL).in_(tenants))
    return (
        select(integrations.c.tenant_id, span.health, span.began_at, func.coalesce(following, now).label("ended_at"))
        .join(integrations, integrations.c.id == span.integration_id)
        .where(wanted)
        .subquery("spans")
    )


def _least(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one < other, one), else_=other)


def _greatest(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


SUM_MEASUREMENTS = Upsert(WINDOWS, _sum_measurements)
COUNT_BUCKETS = Read(WINDOWS, _count_buckets)
SUM_PARTS = Upsert(PARTS, _sum_parts)
SKETCHES_OF_PARTS = Read(PARTS, _sketches_of_parts)
SUM_UPTIME = Upsert({**WINDOWS, "now": BigInteger()}, _sum_uptime)
STORE_SKETCHES = Write(
    {
        "metric": Text(),
        "tenant_id": Text(),
        "resolution": Text(),
        "begins_at": BigInteger(),
        "sketch": Text(),
    },
    _store_sketches,
)
MARK = Upsert(
    {**WINDOWS, "marked_at": BigInteger()},
    lambda given, insert: (
        insert(rollup_marks)
        .from_select([*WINDOWS, "marked_at"], select(*_window(given), given.c.marked_at).where(literal(1) == 1))
        .on_conflict_do_nothing()
    ),
)
