"""Alerts, and what operators are told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

HEARD = "integration.revoked integration.expired integration.recovered integration.error"  # by operators, until now


def upgrade() -> None:
    op.create_table(
        "lamp_alerts",
        sa.Column("rule", Id, nullable=False),
        sa.Column("subject", Id, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("says", sa.Text, nullable=False),
        sa.Column("fired_at", sa.BigInteger),
        sa.Column("good_since", sa.BigInteger),
        sa.Column("resolved_at", sa.BigInteger),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("rule", "subject", name="lamp_alerts_pk"),
        sa.CheckConstraint("state IN ('pending', 'firing', 'resolved')", name="lamp_alerts_state_check"),
    )
    _index("lamp_alerts", "state", "seen_at")
    op.create_table(
        "lamp_alert_changes",
        sa.Column("id", Id, nullable=False),
        sa.Column("rule", Id, nullable=False),
        sa.Column("subject", Id, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("says", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("letter_id", Id),
        sa.Column("lettered_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="lamp_alert_changes_pk"),
        sa.UniqueConstraint(
            "rule", "subject", "since", "event", name="lamp_alert_changes_rule_subject_since_event_key"
        ),
    )
    _index("lamp_alert_changes", "letter_id", "id")
    _index("lamp_alert_changes", "rule", "event", "lettered_at")
    op.create_table(
        "lamp_alert_deliveries",
        sa.Column("letter_id", Id, nullable=False),
        sa.Column("recipient_id", Id, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("failure", sa.Text),
        sa.PrimaryKeyConstraint("letter_id", "recipient_id", name="lamp_alert_deliveries_pk"),
    )
    where = sa.text("ended_at IS NULL")
    op.create_index(
        "lamp_alert_deliveries_open_idx",
        "lamp_alert_deliveries",
        ["due_at"],
        postgresql_where=where,
        sqlite_where=where,
    )
    op.create_table(
        "lamp_alert_silences",
        sa.Column("id", Id, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_alert_silences_pk"),
    )
    _index("lamp_alert_silences", "until")
    _tell_operators()


def _tell_operators() -> None:
    """Operators' recipients that hear of what they heard by default hear of alerts too; who chose, has chosen."""
    recipients = sa.table("lamp_recipients", sa.column("tenant_id", sa.Text), sa.column("events", sa.Text))
    op.execute(
        recipients.update()
        .where(recipients.c.tenant_id.is_(None), recipients.c.events == HEARD)
        .values(events=f"{HEARD} alert.firing alert.resolved")
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"{table}_{'_'.join(columns)}_idx", table, list(columns))
