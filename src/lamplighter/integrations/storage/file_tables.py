"""The tables of files and where they are; what `tables` says holds here too."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from lamplighter.integrations.storage.tables import Id, metadata

__all__ = ["file_sources", "file_texts", "files", "metadata"]

Number = BigInteger().with_variant(Integer, "sqlite")  # a key that counts by itself

file_sources = Table(  # places with files
    "lamp_file_sources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant_id", Id, ForeignKey("lamp_tenants.id"), nullable=False),
    Column("integration_id", Id, ForeignKey("lamp_integrations.id")),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("credentials", Text),  # by the vault, at file-source/<id>/credentials
    Column("state", Text, nullable=False),
    Column("failure", Text),  # why it is refused, or did not answer the last time
    Column("phase", Text, nullable=False),
    Column("cursor", Text),  # where the phase goes on
    Column("step", BigInteger, nullable=False),  # counts pages: what applying the next one compares
    Column("listed_from", BigInteger, nullable=False),  # the step at which the listing began
    Column("interval", Integer, nullable=False),  # seconds to the next look
    Column("next_sync_at", BigInteger, nullable=False),
    Column("synced_at", BigInteger),
    Column("files", BigInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "name"),
    CheckConstraint("state IN ('active', 'paused', 'refused', 'removed')", name="state"),
    CheckConstraint("phase IN ('listing', 'pruning', 'delta')", name="phase"),
    Index(None, "tenant_id", "id"),
    Index(None, "state", "next_sync_at"),  # what is due
    Index(None, "integration_id"),
    Index(
        "lamp_file_sources_pending_idx", "id", postgresql_where=text("pending > 0"), sqlite_where=text("pending > 0")
    ),
)

files = Table(  # files and folders of these; their words are in `lamp_file_words`, see families/files/words.py
    "lamp_files",
    metadata,
    Column("id", Number, primary_key=True),
    Column("tenant_id", Id, nullable=False),
    Column("source_id", Id, ForeignKey("lamp_file_sources.id"), nullable=False),
    Column("remote_id", Id, nullable=False),  # the source's own
    Column("parent", Id),  # the remote id of the folder that it is in
    Column("name", Text, nullable=False),
    Column("path", Id, nullable=False),
    Column("by_path", Boolean, nullable=False),  # its source tells where it is, not what it is in
    Column("is_folder", Boolean, nullable=False),
    Column("mime_type", Text),
    Column("size", BigInteger),
    Column("revision", Text),
    Column("created_at", BigInteger),
    Column("modified_at", BigInteger),
    Column("seen", BigInteger, nullable=False),  # the step of its source that told of it last
    Column("due", Text),  # of a folder: what is still to be done to what is in it
    Column("status", Text, nullable=False),
    Column("reason", Text),  # of an error
    Column("changes", Integer, nullable=False),  # counts contents: what storing an extraction compares
    Column("tries", Integer, nullable=False),  # to read this content, that no worker came back from
    Column("digest", Text),  # SHA-256 of the content, in hex
    Column("title", Text),
    Column("author", Text),
    Column("language", Text),
    Column("pages", Integer),
    Column("details", JSON),
    Column("indexed_at", BigInteger),
    Column("shard", Integer, nullable=False),
    UniqueConstraint("source_id", "remote_id"),
    CheckConstraint("status IN ('pending', 'processed', 'error')", name="status"),
    Index(None, "tenant_id", "path", "id"),
    Index(None, "source_id", "path"),
    Index(None, "source_id", "parent"),
    Index(
        "lamp_files_pending_idx",
        "source_id",
        "shard",
        "id",
        postgresql_where=text("status = 'pending'"),
        sqlite_where=text("status = 'pending'"),
    ),
    Index(
        "lamp_files_failed_idx",
        "tenant_id",
        "path",
        "id",
        postgresql_where=text("status = 'error'"),
        sqlite_where=text("status = 'error'"),
    ),
    Index(
        "lamp_files_due_idx",
        "source_id",
        "id",
        postgresql_where=text("due IS NOT NULL"),
        sqlite_where=text("due IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # or what is stored of a file that is gone could come to the one that got its id
)

file_texts = Table(  # what they say
    "lamp_file_texts",
    metadata,
    Column("file_id", Number, ForeignKey("lamp_files.id"), primary_key=True),
    Column("text", Text, nullable=False),
)
