"""The outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lamp_outbox",
        sa.Column("id", Id, nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("taken_by", sa.Text),
        sa.Column("taken_until", sa.BigInteger),
        sa.Column("refused", sa.Text),
        sa.PrimaryKeyConstraint("id", name="lamp_outbox_pk"),
    )
