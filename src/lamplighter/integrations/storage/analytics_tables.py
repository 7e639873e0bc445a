"""The tables of what is measured, and of what that adds up to; what `tables` says holds here too."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, Text, UniqueConstraint, text

from lamplighter.integrations.storage.file_tables import Number
from lamplighter.integrations.storage.tables import Id, metadata

__all__ = [
    "measured_metrics",
    "measurements",
    "metadata",
    "rollup_holes",
    "rollup_marks",
    "rollup_sources",
    "rollups",
    "tenant_zones",
]

measured_metrics = Table(  # that somebody rolls up: nothing is measured of others
    "lamp_measured_metrics",
    metadata,
    Column("name", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # when a process that knows it rolled up the last time
)

measurements = Table(  # what happened, each once; kept for a short time
    "lamp_measurements",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("metric", Id, nullable=False),
    Column("id", Id, nullable=False),  # of what happened: told twice, it is counted once
    Column("tenant_id", Id, nullable=False),  # "": of none
    Column("at", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("bucket", Integer),  # of a sketch, that the value is in; none: it is zero, or of no sketch
    Column("is_new", Boolean, nullable=False),  # its window does not have it yet
    UniqueConstraint("metric", "id"),
    Index(None, "metric", "tenant_id", "at"),
    Index(None, "metric", "at"),
    Index("lamp_measurements_new_idx", "seq", postgresql_where=text("is_new"), sqlite_where=text("is_new")),
    sqlite_autoincrement=True,
)

rollups = Table(  # what a window of a tenant adds up to
    "lamp_rollups",
    metadata,
    Column("metric", Id, primary_key=True),
    Column("tenant_id", Id, primary_key=True),  # "*": all tenants, in UTC
    Column("resolution", Id, primary_key=True),
    Column("begins_at", BigInteger, primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),  # of measurements; of a share: microseconds that are known
    Column("total", Float, nullable=False),  # of their values; of a share: microseconds of those that were good
    Column("least", Float),
    Column("most", Float),
    Column("sketch", Text),  # of the values, JSON
    Index(None, "resolution", "begins_at"),
)

rollup_marks = Table(  # windows that are to be added up anew
    "lamp_rollup_marks",
    metadata,
    Column("resolution", Id, primary_key=True),
    Column("tenant_id", Id, primary_key=True),
    Column("metric", Id, primary_key=True),
    Column("begins_at", BigInteger, primary_key=True),
    Column("ends_at", BigInteger, nullable=False),
    Column("marked_at", BigInteger, nullable=False),
)

tenant_zones = Table(  # since when a tenant's windows are cut by which time zone; before the first: UTC
    "lamp_tenant_zones",
    metadata,
    Column("tenant_id", Id, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("zone", Text, nullable=False),
)

rollup_sources = Table(  # how far what is asked for was collected
    "lamp_rollup_sources",
    metadata,
    Column("name", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),  # up to here
    Column("place", Id, nullable=False),  # and there, among what happened then
    Column("collected_at", BigInteger, nullable=False),  # the last time
)

rollup_holes = Table(  # when nobody collected for so long that a source may have forgotten something
    "lamp_rollup_holes",
    metadata,
    Column("source", Id, primary_key=True),
    Column("since", BigInteger, primary_key=True),
    Column("until", BigInteger, nullable=False),
)
