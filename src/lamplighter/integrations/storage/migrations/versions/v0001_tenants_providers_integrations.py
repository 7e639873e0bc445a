"""Tenants, providers, integrations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lamp_tenants",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("archived", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_tenants_pk"),
    )
    op.create_table(
        "lamp_providers",
        sa.Column("slug", Id, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("client_secret", sa.Text, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("slug", name="lamp_providers_pk"),
    )
    op.create_table(
        "lamp_integrations",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("provider_slug", Id, nullable=False),
        sa.Column("access_token", sa.Text),
        sa.Column("refresh_token", sa.Text),
        sa.Column("token_version", sa.Integer, nullable=False),
        sa.Column("issued_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("refresh_at", sa.BigInteger),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("status_reason", sa.Text),
        sa.Column("status_changed_at", sa.BigInteger, nullable=False),
        sa.Column("connected_at", sa.BigInteger),
        sa.Column("last_refreshed_at", sa.BigInteger),
        sa.Column("last_outcome", sa.Text),
        sa.Column("outages", sa.Integer, nullable=False),
        sa.Column("lock_owner", sa.Text),
        sa.Column("lock_until", sa.BigInteger),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_integrations_pk"),
        sa.UniqueConstraint("tenant_id", "provider_slug", name="lamp_integrations_tenant_id_provider_slug_key"),
        sa.ForeignKeyConstraint(["tenant_id"], ["lamp_tenants.id"], name="lamp_integrations_tenant_id_fk"),
        sa.ForeignKeyConstraint(["provider_slug"], ["lamp_providers.slug"], name="lamp_integrations_provider_slug_fk"),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'expired', 'revoked', 'error')", name="lamp_integrations_status_check"
        ),
    )
    for columns in (["status", "refresh_at", "id"], ["status", "id"], ["provider_slug", "id"]):
        op.create_index(f"lamp_integrations_{'_'.join(columns)}_idx", "lamp_integrations", columns)
