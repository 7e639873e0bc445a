"""Whose tenants are whose, found without going through all of them."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("lamp_tenants_by_owner", "lamp_tenants", ["owner_id"])
