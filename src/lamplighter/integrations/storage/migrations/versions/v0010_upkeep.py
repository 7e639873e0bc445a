"""What was done to keep databases well, and how large they were."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lamp_upkeep_runs",
        sa.Column("id", Id, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("outcome", sa.Text),
        sa.Column("says", sa.Text, nullable=False),
        sa.Column("bytes_before", sa.BigInteger),
        sa.Column("bytes_after", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="lamp_upkeep_runs_pk"),
    )
    op.create_index("lamp_upkeep_runs_began_at_idx", "lamp_upkeep_runs", ["began_at"])
    op.create_table(
        "lamp_upkeep_sizes",
        sa.Column("place", Id, nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("place", "name", "at", name="lamp_upkeep_sizes_pk"),
    )
    op.create_index("lamp_upkeep_sizes_at_idx", "lamp_upkeep_sizes", ["at"])
