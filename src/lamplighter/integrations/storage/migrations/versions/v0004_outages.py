"""Outages that all processes know of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lamp_outages",
        sa.Column("provider_slug", Id, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider_slug", name="lamp_outages_pk"),
        sa.ForeignKeyConstraint(["provider_slug"], ["lamp_providers.slug"], name="lamp_outages_provider_slug_fk"),
    )
