"""The service's own tables. Times are microseconds since 1970, UTC, so that every database agrees on them exactly.

A change here needs a step in `migrations/versions`: a test compares the two.
"""

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
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

PREFIX = "lamp_"

# What is compared by its bytes everywhere: the order of a language costs time, and may change with an operating system.
Id = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

tenants = Table(
    "lamp_tenants",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("owner_id", Text, nullable=False),  # the identity provider's subject
    Column("archived", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

providers = Table(
    "lamp_providers",
    metadata,
    Column("slug", Id, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_secret", Text, nullable=False),  # by the vault, at provider/<slug>/client_secret
    Column("facts", JSON, nullable=False),  # a ProviderFacts
    Column("version", Integer, nullable=False),  # of this row: whoever remembers another one reads it again
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

integrations = Table(
    "lamp_integrations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant_id", Id, ForeignKey("lamp_tenants.id"), nullable=False),
    Column("provider_slug", Id, ForeignKey("lamp_providers.slug"), nullable=False),
    Column("access_token", Text),  # by the vault, at integration/<id>/access_token
    Column("refresh_token", Text),  # by the vault, at integration/<id>/refresh_token
    Column("token_version", Integer, nullable=False),  # counts stored tokens: what a write of tokens compares
    Column("issued_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("refresh_at", BigInteger),  # when the next refresh is planned
    Column("scopes", Text, nullable=False),  # as OAuth writes them, with spaces between
    Column("status", Text, nullable=False),
    Column("status_reason", Text),
    Column("status_changed_at", BigInteger, nullable=False),
    Column("connected_at", BigInteger),
    Column("last_refreshed_at", BigInteger),
    Column("last_outcome", Text),
    Column("outages", Integer, nullable=False),  # in a row
    Column("lock_owner", Text),
    Column("lock_until", BigInteger),
    Column("metadata", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("tenant_id", "provider_slug"),
    CheckConstraint("status IN ('pending', 'active', 'expired', 'revoked', 'error')", name="status"),
    Index(None, "status", "refresh_at", "id"),  # what is overdue
    Index(None, "status", "id"),  # pages and counts; a refresh does not touch it
    Index(None, "provider_slug", "id"),
)

outbox = Table(
    "lamp_outbox",
    metadata,
    Column("id", Id, primary_key=True),  # of the job
    Column("job", Text, nullable=False),  # a NewJob, JSON
    Column("created_at", BigInteger, nullable=False),
    Column("taken_by", Text),  # the relay that is adding it
    Column("taken_until", BigInteger),  # when another may
    Column("refused", Text),  # why it cannot be added: it is left alone until an operator empties this
)
