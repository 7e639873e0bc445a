"""The audit log in chains, its archives, rules and holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _widen_audit()
    op.create_table(
        "lamp_audit_chains",
        sa.Column("chain", Id, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("moves", sa.Integer, nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("failure", sa.Text),
        sa.Column("verified_at", sa.BigInteger),
        sa.Column("verified_seq", sa.BigInteger),
        sa.Column("broken", sa.Text),
        sa.PrimaryKeyConstraint("chain", name="lamp_audit_chains_pk"),
    )
    op.create_table(
        "lamp_audit_gaps",
        sa.Column("chain", Id, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("last_hash", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("chain", "first_seq", name="lamp_audit_gaps_pk"),
    )
    op.create_index("lamp_audit_gaps_chain_last_seq_idx", "lamp_audit_gaps", ["chain", "last_seq"])
    _create_archives()
    op.create_table(
        "lamp_audit_rules",
        sa.Column("tenant", Id, nullable=False),
        sa.Column("action", Id, nullable=False),
        sa.Column("archive_after", sa.BigInteger),
        sa.Column("destroy_after", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "action", name="lamp_audit_rules_pk"),
    )
    op.create_table(
        "lamp_audit_holds",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant", Id, nullable=False),
        sa.Column("action", Id, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("released_at", sa.BigInteger),
        sa.Column("released_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="lamp_audit_holds_pk"),
    )


def _widen_audit() -> None:
    """Nothing is asked of rows that workers of the version before do not write: they are sealed later."""
    op.add_column("lamp_audit", sa.Column("chain", Id))
    op.add_column("lamp_audit", sa.Column("seq", sa.BigInteger))
    op.add_column("lamp_audit", sa.Column("hash", sa.Text))
    op.add_column("lamp_audit", sa.Column("restored_until", sa.BigInteger))
    op.drop_index("lamp_audit_at_idx", "lamp_audit")
    op.create_index("lamp_audit_at_id_idx", "lamp_audit", ["at", "id"])
    op.create_index("lamp_audit_tenant_id_at_id_idx", "lamp_audit", ["tenant_id", "at", "id"])
    op.create_index("lamp_audit_chain_seq_key", "lamp_audit", ["chain", "seq"], unique=True)
    _partial("lamp_audit", "unsealed_idx", "seq IS NULL", "id")
    _partial("lamp_audit", "restored_idx", "restored_until IS NOT NULL", "restored_until")


def _create_archives() -> None:
    op.create_table(
        "lamp_audit_archives",
        sa.Column("id", Id, nullable=False),
        sa.Column("chain", Id, nullable=False),
        sa.Column("day", Id, nullable=False),
        sa.Column("key", Id, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("destroyed", sa.Integer, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("actions", sa.JSON, nullable=False),
        sa.Column("next", sa.JSON),
        sa.Column("leftover", sa.Text),
        sa.Column("restored_until", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_audit_archives_pk"),
        sa.UniqueConstraint("key", name="lamp_audit_archives_key_key"),
        sa.CheckConstraint(
            "state IN ('planned', 'written', 'archived', 'destroyed')", name="lamp_audit_archives_state_check"
        ),
    )
    for columns in (["chain", "first_seq"], ["chain", "last_at"], ["day", "id"]):
        op.create_index(f"lamp_audit_archives_{'_'.join(columns)}_idx", "lamp_audit_archives", columns)
    _partial("lamp_audit_archives", "open_key", "state IN ('planned', 'written')", "chain", unique=True)


def _partial(table: str, name: str, condition: str, *columns: str, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(f"{table}_{name}", table, list(columns), unique=unique, postgresql_where=where, sqlite_where=where)
