"""Files of tenants, where they are, and the words in them."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

WORDS = "CREATE VIRTUAL TABLE lamp_file_words USING fts5(name, title, body, tokenize = 'ascii'{})"
WITHOUT_A_COPY = ", content = '', contentless_delete = 1"
SINCE = (3, 43)  # of SQLite


def upgrade() -> None:
    _create_sources()
    _create_files()
    op.create_table(
        "lamp_file_texts",
        sa.Column("file_id", Number, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("file_id", name="lamp_file_texts_pk"),
        sa.ForeignKeyConstraint(["file_id"], ["lamp_files.id"], name="lamp_file_texts_file_id_fk"),
    )
    _create_words()


def _create_sources() -> None:
    op.create_table(
        "lamp_file_sources",
        sa.Column("id", Id, nullable=False),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("integration_id", Id),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("credentials", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("listed_from", sa.BigInteger, nullable=False),
        sa.Column("interval", sa.Integer, nullable=False),
        sa.Column("next_sync_at", sa.BigInteger, nullable=False),
        sa.Column("synced_at", sa.BigInteger),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("pending", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_file_sources_pk"),
        sa.ForeignKeyConstraint(["tenant_id"], ["lamp_tenants.id"], name="lamp_file_sources_tenant_id_fk"),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["lamp_integrations.id"], name="lamp_file_sources_integration_id_fk"
        ),
        sa.UniqueConstraint("tenant_id", "name", name="lamp_file_sources_tenant_id_name_key"),
        sa.CheckConstraint("state IN ('active', 'paused', 'refused', 'removed')", name="lamp_file_sources_state_check"),
        sa.CheckConstraint("phase IN ('listing', 'pruning', 'delta')", name="lamp_file_sources_phase_check"),
    )
    for columns in (("tenant_id", "id"), ("state", "next_sync_at"), ("integration_id",)):
        op.create_index(f"lamp_file_sources_{'_'.join(columns)}_idx", "lamp_file_sources", list(columns))
    _partial_index("lamp_file_sources_pending_idx", "lamp_file_sources", ["id"], "pending > 0")


def _create_files() -> None:
    op.create_table(
        "lamp_files",
        sa.Column("id", Number, nullable=False, primary_key=True, autoincrement=True),
        sa.Column("tenant_id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("remote_id", Id, nullable=False),
        sa.Column("parent", Id),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", Id, nullable=False),
        sa.Column("by_path", sa.Boolean, nullable=False),
        sa.Column("is_folder", sa.Boolean, nullable=False),
        sa.Column("mime_type", sa.Text),
        sa.Column("size", sa.BigInteger),
        sa.Column("revision", sa.Text),
        sa.Column("created_at", sa.BigInteger),
        sa.Column("modified_at", sa.BigInteger),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("due", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("title", sa.Text),
        sa.Column("author", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("pages", sa.Integer),
        sa.Column("details", sa.JSON),
        sa.Column("indexed_at", sa.BigInteger),
        sa.Column("shard", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="lamp_files_pk"),
        sa.ForeignKeyConstraint(["source_id"], ["lamp_file_sources.id"], name="lamp_files_source_id_fk"),
        sa.UniqueConstraint("source_id", "remote_id", name="lamp_files_source_id_remote_id_key"),
        sa.CheckConstraint("status IN ('pending', 'processed', 'error')", name="lamp_files_status_check"),
        sqlite_autoincrement=True,
    )
    for columns in (("tenant_id", "path", "id"), ("source_id", "path"), ("source_id", "parent")):
        op.create_index(f"lamp_files_{'_'.join(columns)}_idx", "lamp_files", list(columns))
    _partial_index("lamp_files_pending_idx", "lamp_files", ["source_id", "shard", "id"], "status = 'pending'")
    _partial_index("lamp_files_failed_idx", "lamp_files", ["tenant_id", "path", "id"], "status = 'error'")
    _partial_index("lamp_files_due_idx", "lamp_files", ["source_id", "id"], "due IS NOT NULL")


def _create_words() -> None:
    """Of the name, the title and the text of each file, under its id; what a search goes by."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(WORDS.format(WITHOUT_A_COPY if sqlite3.sqlite_version_info >= SINCE else ""))
        return
    op.create_table(
        "lamp_file_words",
        sa.Column("file_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("words", TSVECTOR, nullable=False),
    )
    op.create_index("lamp_file_words_idx", "lamp_file_words", ["words"], postgresql_using="gin")


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)
