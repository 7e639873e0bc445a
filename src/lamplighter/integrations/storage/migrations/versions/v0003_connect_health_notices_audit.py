"""Connecting, health, notices, the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("lamp_tenants", sa.Column("health_interval", sa.Integer))
    op.add_column("lamp_integrations", sa.Column("transitions", sa.Integer, nullable=False, server_default="0"))
    _connecting()
    _health()
    _notices()
    _audit()


def _connecting() -> None:
    op.create_table(
        "lamp_authorizations",
        sa.Column("state", Id, nullable=False),
        sa.Column("browser", sa.Text, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("provider_slug", Id, nullable=False),
        sa.Column("verifier", sa.Text, nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("return_to", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("state", name="lamp_authorizations_pk"),
        _refers("lamp_authorizations", "tenant_id", "lamp_tenants.id"),
        _refers("lamp_authorizations", "provider_slug", "lamp_providers.slug"),
    )
    _index("lamp_authorizations", "expires_at")


def _health() -> None:
    op.create_table(
        "lamp_health",
        sa.Column("integration_id", Id, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("health", sa.Text),
        sa.Column("since", sa.BigInteger),
        sa.Column("checked_at", sa.BigInteger),
        sa.Column("message", sa.Text),
        sa.Column("latency_ms", sa.Integer),
        sa.PrimaryKeyConstraint("integration_id", name="lamp_health_pk"),
        _refers("lamp_health", "integration_id", "lamp_integrations.id"),
    )
    _index("lamp_health", "due_at", "integration_id")
    op.execute("INSERT INTO lamp_health (integration_id, due_at) SELECT id, 0 FROM lamp_integrations")
    op.create_table(
        "lamp_health_spans",
        sa.Column("integration_id", Id, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("health", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("latency_total_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("integration_id", "began_at", name="lamp_health_spans_pk"),
        _refers("lamp_health_spans", "integration_id", "lamp_integrations.id"),
    )
    _index("lamp_health_spans", "began_at")


def _notices() -> None:
    op.create_table(
        "lamp_notices",
        sa.Column("id", Id, nullable=False),
        sa.Column("integration_id", Id, nullable=False),
        sa.Column("transition", sa.Integer, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("provider_slug", Id, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("is_new", sa.Boolean, nullable=False),
        sa.Column("read_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="lamp_notices_pk"),
        sa.UniqueConstraint("integration_id", "transition", name="lamp_notices_integration_id_transition_key"),
        _refers("lamp_notices", "integration_id", "lamp_integrations.id"),
        _refers("lamp_notices", "tenant_id", "lamp_tenants.id"),
    )
    _index("lamp_notices", "tenant_id", "id")
    _partial("lamp_notices", "new", "is_new", "id")
    _partial("lamp_notices", "unread", "read_at IS NULL", "tenant_id", "id")
    op.create_table(
        "lamp_recipients",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant_id", Id),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("secret", sa.Text),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_recipients_pk"),
        _refers("lamp_recipients", "tenant_id", "lamp_tenants.id"),
    )
    _index("lamp_recipients", "tenant_id", "id")
    op.create_table(
        "lamp_deliveries",
        sa.Column("recipient_id", Id, nullable=False),
        sa.Column("notice_id", Id, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("message_id", Id),
        sa.PrimaryKeyConstraint("recipient_id", "notice_id", name="lamp_deliveries_pk"),
        _refers("lamp_deliveries", "notice_id", "lamp_notices.id"),
    )
    _partial("lamp_deliveries", "message", "message_id IS NOT NULL", "message_id", "notice_id")
    _index("lamp_deliveries", "notice_id")
    _partial("lamp_deliveries", "waiting", "message_id IS NULL", "recipient_id", "topic", "notice_id")
    op.create_table(
        "lamp_messages",
        sa.Column("id", Id, nullable=False),
        sa.Column("recipient_id", Id, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("failure", sa.Text),
        sa.PrimaryKeyConstraint("id", name="lamp_messages_pk"),
    )
    _index("lamp_messages", "recipient_id", "topic", "created_at")
    _index("lamp_messages", "created_at")
    _partial("lamp_messages", "open", "ended_at IS NULL", "id")


def _audit() -> None:
    op.create_table(
        "lamp_audit",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant_id", Id),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("resource_type", sa.Text, nullable=False),
        sa.Column("resource_id", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("error_message", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_audit_pk"),
    )
    _index("lamp_audit", "tenant_id", "id")
    _index("lamp_audit", "at")


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"{table}_{column}_fk")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"{table}_{'_'.join(columns)}_idx", table, list(columns))


def _partial(table: str, name: str, condition: str, *columns: str) -> None:
    where = sa.text(condition)
    op.create_index(f"{table}_{name}_idx", table, list(columns), postgresql_where=where, sqlite_where=where)
