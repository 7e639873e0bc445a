"""The tables beside the audit log: its chains, what is gone from them, archives, rules and holds.

What `tables` says holds here too. A chain is named by its tenant; "" has what concerns no single one.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Index, Integer, Table, Text, UniqueConstraint, text

from lamplighter.integrations.storage.tables import Id, metadata

__all__ = ["audit_archives", "audit_chains", "audit_gaps", "audit_holds", "audit_rules", "metadata"]

audit_chains = Table(
    "lamp_audit_chains",
    metadata,
    Column("chain", Id, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of the last record that is sealed; what sealing more compares
    Column("hash", Text, nullable=False),  # its hash: the head of the chain
    Column("moves", Integer, nullable=False),  # counts what takes records out of the live table; compared, too
    Column("failing_since", BigInteger),  # since when it cannot be archived
    Column("failure", Text),  # and why
    Column("verified_at", BigInteger),
    Column("verified_seq", BigInteger),
    Column("broken", Text),  # what was wrong with it then
)

audit_gaps = Table(  # runs of records that were destroyed when their time was over
    "lamp_audit_gaps",
    metadata,
    Column("chain", Id, primary_key=True),
    Column("first_seq", BigInteger, primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_hash", Text, nullable=False),  # what comes after them was linked to this
    Column("at", BigInteger, nullable=False),
    Index(None, "chain", "last_seq"),
)

audit_archives = Table(  # objects elsewhere, each of one chain and day
    "lamp_audit_archives",
    metadata,
    Column("id", Id, primary_key=True),
    Column("chain", Id, nullable=False),
    Column("day", Id, nullable=False),  # 2026-01-31, UTC, of when the records are from
    Column("key", Id, nullable=False),
    Column("generation", Integer, nullable=False),  # counts how often it was written anew, without what was destroyed
    Column("state", Text, nullable=False),
    Column("count", Integer, nullable=False),  # lines of records, also of those of which only the hash is left
    Column("destroyed", Integer, nullable=False),  # so many of these
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the content before it is compressed
    Column("size", BigInteger, nullable=False),  # of the object
    Column("actions", JSON, nullable=False),  # by action: how many of it are left, and the last one's moment
    Column("next", JSON(none_as_null=True)),  # the generation that is being written
    Column("leftover", Text),  # the key of an object that is to be deleted
    Column("restored_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("key"),
    CheckConstraint("state IN ('planned', 'written', 'archived', 'destroyed')", name="state"),
    Index(None, "chain", "first_seq"),
    Index(None, "chain", "last_at"),
    Index(None, "day", "id"),
    Index(  # of each chain, one at a time is on its way
        "lamp_audit_archives_open_key",
        "chain",
        unique=True,
        postgresql_where=text("state IN ('planned', 'written')"),
        sqlite_where=text("state IN ('planned', 'written')"),
    ),
)

audit_rules = Table(  # how long records of these tenants and actions are kept, where that is not as the settings say
    "lamp_audit_rules",
    metadata,
    Column("tenant", Id, primary_key=True),  # "*": all of them
    Column("action", Id, primary_key=True),  # one, or all that begin so: integration.*
    Column("archive_after", BigInteger),  # seconds; none: never
    Column("destroy_after", BigInteger),  # seconds; none: never
    Column("created_at", BigInteger, nullable=False),
    Column("user_id", Text, nullable=False),
)

audit_holds = Table(  # what must not be destroyed, whatever its age
    "lamp_audit_holds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Id, nullable=False),
    Column("action", Id, nullable=False),
    Column("reason", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("released_at", BigInteger),
    Column("released_by", Text),
)
