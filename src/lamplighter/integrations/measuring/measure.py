"""The one way in: what is measured becomes a row, in the transaction of what happened.

Nothing is measured that nobody rolls up: a statement writes only if its metric was seen in the last week by a process
that has the analytics family. So an app without that costs a look at an empty table, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, Text, insert, literal, select

from lamplighter.core.clock import to_us
from lamplighter.integrations.storage.analytics_tables import measured_metrics, measurements
from lamplighter.integrations.storage.many import Upsert, dicts
from lamplighter.integrations.storage.tables import integrations

UNSEEN = timedelta(days=7)  # until nothing is measured any more that nobody rolls up

_metric = measured_metrics.c
_COLUMNS = ("metric", "id", "tenant_id", "at", "value", "bucket", "is_new")


class Measurement(NamedTuple):
    """What happened once: `at` in microseconds, `bucket` as `families.analytics.sketch` has it. No tenant: ""."""

    metric: str
    id: str
    tenant_id: str
    at: int
    value: float = 1.0
    bucket: int | None = None


_PUT = Upsert(
    {
        "metric": Text(),
        "id": Text(),
        "tenant_id": Text(),
        "at": BigInteger(),
        "value": Float(),
        "bucket": Integer(),
        "seen_since": BigInteger(),
    },
    lambda given, insert_into: (
        insert_into(measurements)
        .from_select(
            _COLUMNS,
            select(
                given.c.metric,
                given.c.id,
                given.c.tenant_id,
                given.c.at,
                given.c.value,
                given.c.bucket,
                literal(True, Boolean()),  # noqa: FBT003
            )
            .join(measured_metrics, _metric.name == given.c.metric)
            .where(_metric.seen_at >= given.c.seen_since),
        )
        .on_conflict_do_nothing()
        .returning(measurements.c.seq)
    ),
)


def put(connection: Connection, happened: Iterable[Measurement], now: datetime) -> int:
    """Write down what happened; what is known by its id stays as it is. Returns how much was new."""
    since = to_us(now - UNSEEN)
    rows = [row | {"seen_since": since} for row in dicts(happened)]
    return len(_PUT.run(connection, rows).all()) if rows else 0


def put_of_integration(connection: Connection, metric: str, integration_id: str, now: datetime) -> None:
    """One that happened to an integration now, for its tenant."""
    at, row = to_us(now), integrations.c
    seen = select(_metric.name).where(_metric.name == metric, _metric.seen_at >= to_us(now - UNSEEN)).exists()
    values = select(
        literal(metric),
        literal(f"{integration_id}.{at}"),
        row.tenant_id,
        literal(at, BigInteger()),
        literal(1.0, Float()),
        literal(None, Integer()),
        literal(True, Boolean()),  # noqa: FBT003
    ).where(row.id == integration_id, seen)
    known = select(measurements.c.seq).where(
        measurements.c.metric == metric, measurements.c.id == f"{integration_id}.{at}"
    )
    connection.execute(insert(measurements).from_select(_COLUMNS, values.where(~known.exists())))
