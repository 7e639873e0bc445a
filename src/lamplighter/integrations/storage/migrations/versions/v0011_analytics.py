"""What is measured, what that adds up to, and the time zones of tenants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("lamp_tenants", sa.Column("time_zone", sa.Text))
    _create_measurements()
    _create_rollups()
    op.create_table(
        "lamp_tenant_zones",
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "since", name="lamp_tenant_zones_pk"),
    )
    op.create_table(
        "lamp_rollup_sources",
        sa.Column("name", Id, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("place", Id, nullable=False),
        sa.Column("collected_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="lamp_rollup_sources_pk"),
    )
    op.create_table(
        "lamp_rollup_holes",
        sa.Column("source", Id, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "since", name="lamp_rollup_holes_pk"),
    )


def _create_measurements() -> None:
    op.create_table(
        "lamp_measured_metrics",
        sa.Column("name", Id, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="lamp_measured_metrics_pk"),
    )
    op.create_table(
        "lamp_measurements",
        sa.Column("seq", Number, nullable=False, primary_key=True, autoincrement=True),
        sa.Column("metric", Id, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("bucket", sa.Integer),
        sa.Column("is_new", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="lamp_measurements_pk"),
        sa.UniqueConstraint("metric", "id", name="lamp_measurements_metric_id_key"),
        sqlite_autoincrement=True,
    )
    for columns in (("metric", "tenant_id", "at"), ("metric", "at")):
        op.create_index(f"lamp_measurements_{'_'.join(columns)}_idx", "lamp_measurements", list(columns))
    new = sa.text("is_new")
    op.create_index("lamp_measurements_new_idx", "lamp_measurements", ["seq"], postgresql_where=new, sqlite_where=new)


def _create_rollups() -> None:
    op.create_table(
        "lamp_rollups",
        sa.Column("metric", Id, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("resolution", Id, nullable=False),
        sa.Column("begins_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.Column("least", sa.Float),
        sa.Column("most", sa.Float),
        sa.Column("sketch", sa.Text),
        sa.PrimaryKeyConstraint("metric", "tenant_id", "resolution", "begins_at", name="lamp_rollups_pk"),
    )
    op.create_index("lamp_rollups_resolution_begins_at_idx", "lamp_rollups", ["resolution", "begins_at"])
    op.create_table(
        "lamp_rollup_marks",
        sa.Column("resolution", Id, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("metric", Id, nullable=False),
        sa.Column("begins_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.Column("marked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("resolution", "tenant_id", "metric", "begins_at", name="lamp_rollup_marks_pk"),
    )
