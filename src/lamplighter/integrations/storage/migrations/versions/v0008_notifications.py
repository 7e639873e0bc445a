"""Notices of any event, preferences, and tenants' own words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

KEPT = "id, integration_id, transition, tenant_id, provider_slug, event, reason, at, is_new, read_at"
FOR_TENANTS = "integration.revoked integration.expired integration.recovered"
FOR_OPERATORS = f"{FOR_TENANTS} integration.error alert.firing alert.resolved"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _widen_notices()
    else:
        _rebuild_notices()
    op.add_column("lamp_messages", sa.Column("unanswered", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "lamp_preferences",
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("muted", sa.Boolean, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "event", name="lamp_preferences_pk"),
        sa.CheckConstraint("digest IN ('immediate', 'hourly', 'daily')", name="lamp_preferences_digest_check"),
    )
    op.create_table(
        "lamp_templates",
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("html", sa.Text),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("failed_at", sa.BigInteger),
        sa.Column("failure", sa.Text),
        sa.PrimaryKeyConstraint("tenant_id", "event", name="lamp_templates_pk"),
    )
    _keep_defaults()


def _widen_notices() -> None:
    """Nothing is asked of rows that workers of the version before do not write."""
    op.add_column("lamp_notices", sa.Column("key", Id))
    op.add_column("lamp_notices", sa.Column("facts", sa.JSON))
    for column in ("integration_id", "transition", "tenant_id", "provider_slug"):
        op.alter_column("lamp_notices", column, nullable=True)
    op.create_unique_constraint("lamp_notices_key_key", "lamp_notices", ["key"])


def _rebuild_notices() -> None:
    """SQLite changes no column. Deliveries refer to notices, so both are written anew: no row refers to a table that is
    dropped."""
    op.execute("CREATE TABLE lamp_deliveries_kept AS SELECT * FROM lamp_deliveries")
    op.drop_table("lamp_deliveries")
    op.execute("CREATE TABLE lamp_notices_kept AS SELECT * FROM lamp_notices")
    op.drop_table("lamp_notices")
    _create_notices()
    op.execute(f"INSERT INTO lamp_notices ({KEPT}) SELECT {KEPT} FROM lamp_notices_kept")  # noqa: S608 - ours alone
    _create_deliveries()
    columns = "recipient_id, notice_id, topic, message_id"
    op.execute(f"INSERT INTO lamp_deliveries ({columns}) SELECT {columns} FROM lamp_deliveries_kept")  # noqa: S608
    op.execute("DROP TABLE lamp_deliveries_kept")
    op.execute("DROP TABLE lamp_notices_kept")


def _create_notices() -> None:
    op.create_table(
        "lamp_notices",
        sa.Column("id", Id, nullable=False),
        sa.Column("integration_id", Id),
        sa.Column("transition", sa.Integer),
        sa.Column("tenant_id", Id),
        sa.Column("provider_slug", Id),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("key", Id),
        sa.Column("reason", sa.Text),
        sa.Column("facts", sa.JSON),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("is_new", sa.Boolean, nullable=False),
        sa.Column("read_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="lamp_notices_pk"),
        sa.UniqueConstraint("integration_id", "transition", name="lamp_notices_integration_id_transition_key"),
        sa.UniqueConstraint("key", name="lamp_notices_key_key"),
        _refers("lamp_notices", "integration_id", "lamp_integrations.id"),
        _refers("lamp_notices", "tenant_id", "lamp_tenants.id"),
    )
    op.create_index("lamp_notices_tenant_id_id_idx", "lamp_notices", ["tenant_id", "id"])
    _partial("lamp_notices", "new", "is_new", "id")
    _partial("lamp_notices", "unread", "read_at IS NULL", "tenant_id", "id")


def _create_deliveries() -> None:
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
    op.create_index("lamp_deliveries_notice_id_idx", "lamp_deliveries", ["notice_id"])
    _partial("lamp_deliveries", "waiting", "message_id IS NULL", "recipient_id", "topic", "notice_id")


def _keep_defaults() -> None:
    """Who hears of what it heard by default hears of what is declared later too; who chose, has chosen."""
    recipients = sa.table("lamp_recipients", sa.column("tenant_id", sa.Text), sa.column("events", sa.Text))
    of_tenants = recipients.c.tenant_id.is_not(None) & (recipients.c.events == FOR_TENANTS)
    of_operators = recipients.c.tenant_id.is_(None) & (recipients.c.events == FOR_OPERATORS)
    op.execute(recipients.update().where(of_tenants | of_operators).values(events="default " + recipients.c.events))


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"{table}_{column}_fk")


def _partial(table: str, name: str, condition: str, *columns: str) -> None:
    where = sa.text(condition)
    op.create_index(f"{table}_{name}_idx", table, list(columns), postgresql_where=where, sqlite_where=where)
