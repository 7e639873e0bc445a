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
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
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
    Column("health_interval", Integer),  # seconds; none: its providers' own
    Column("time_zone", Text),  # IANA; none: UTC
    Column("created_at", BigInteger, nullable=False),
    Index("lamp_tenants_by_owner", "owner_id"),
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

outages = Table(  # of providers, each for as long as it is left alone
    "lamp_outages",
    metadata,
    Column("provider_slug", Id, ForeignKey("lamp_providers.slug"), primary_key=True),
    Column("until", BigInteger, nullable=False),  # when one request may find out whether it is over
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
    Column("transitions", Integer, nullable=False, server_default="0"),  # counts changes of the status
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

authorizations = Table(  # asked of a provider, and not answered yet
    "lamp_authorizations",
    metadata,
    Column("state", Id, primary_key=True),  # the digest of it
    Column("browser", Text, nullable=False),  # the digest of what the browser that began it keeps
    Column("tenant_id", Id, ForeignKey("lamp_tenants.id"), nullable=False),
    Column("provider_slug", Id, ForeignKey("lamp_providers.slug"), nullable=False),
    Column("verifier", Text, nullable=False),  # by the vault, at authorization/<state>/verifier
    Column("redirect_uri", Text, nullable=False),
    Column("return_to", Text, nullable=False),  # a path of the host application
    Column("user_id", Text, nullable=False),  # who began it
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

health = Table(  # of each integration, as it is now
    "lamp_health",
    metadata,
    Column("integration_id", Id, ForeignKey("lamp_integrations.id"), primary_key=True),
    Column("due_at", BigInteger, nullable=False),  # when to check it; 0: not spread out yet
    Column("health", Text),  # none: nothing is known
    Column("since", BigInteger),
    Column("checked_at", BigInteger),
    Column("message", Text),
    Column("latency_ms", Integer),
    Index(None, "due_at", "integration_id"),
)

health_spans = Table(  # its past: each row lasts until the next one of the integration begins
    "lamp_health_spans",
    metadata,
    Column("integration_id", Id, ForeignKey("lamp_integrations.id"), primary_key=True),
    Column("began_at", BigInteger, primary_key=True),
    Column("health", Text),  # none: not connected, which counts as neither up nor down
    Column("message", Text),
    Column("checks", Integer, nullable=False),
    Column("latency_total_ms", BigInteger, nullable=False),
    Index(None, "began_at"),
)

notices = Table(  # what people are told: of a transition of an integration, or by a family or the host
    "lamp_notices",
    metadata,
    Column("id", Id, primary_key=True),
    Column("integration_id", Id, ForeignKey("lamp_integrations.id")),  # none: it is of no integration
    Column("transition", Integer),
    Column("tenant_id", Id, ForeignKey("lamp_tenants.id")),  # none: the operators alone
    Column("provider_slug", Id),
    Column("event", Text, nullable=False),
    Column("key", Id),  # of one of no integration: event, tenant, and what tells it apart, so that it is told once
    Column("reason", Text),
    Column("facts", JSON),  # what its words are filled with
    Column("at", BigInteger, nullable=False),
    Column("is_new", Boolean, nullable=False),  # not addressed to its recipients yet
    Column("read_at", BigInteger),  # in the tenant's list
    UniqueConstraint("integration_id", "transition"),
    UniqueConstraint("key"),
    Index(None, "tenant_id", "id"),
    Index("lamp_notices_new_idx", "id", postgresql_where=text("is_new"), sqlite_where=text("is_new")),
    Index(
        "lamp_notices_unread_idx",
        "tenant_id",
        "id",
        postgresql_where=text("read_at IS NULL"),
        sqlite_where=text("read_at IS NULL"),
    ),
)

recipients = Table(  # who is told
    "lamp_recipients",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant_id", Id, ForeignKey("lamp_tenants.id")),  # none: the operator, who hears of all tenants
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),  # by the vault, at recipient/<id>/address: some hold a password
    Column("secret", Text),  # by the vault, at recipient/<id>/secret: signs what a webhook is sent
    Column("events", Text, nullable=False),  # with spaces between; with "default": those that say so of themselves
    Column("created_at", BigInteger, nullable=False),
    Index(None, "tenant_id", "id"),
)

deliveries = Table(  # a notice, for one of its recipients
    "lamp_deliveries",
    metadata,
    Column("recipient_id", Id, primary_key=True),
    Column("notice_id", Id, ForeignKey("lamp_notices.id"), primary_key=True),
    Column("topic", Text, nullable=False),  # what may be put into one digest
    Column("message_id", Id),  # none: not sent yet
    Index(  # without those that wait, or SQLite would look for them here, and sort them
        "lamp_deliveries_message_idx",
        "message_id",
        "notice_id",
        postgresql_where=text("message_id IS NOT NULL"),
        sqlite_where=text("message_id IS NOT NULL"),
    ),
    Index(None, "notice_id"),  # or forgetting a notice would read all of them
    Index(
        "lamp_deliveries_waiting_idx",
        "recipient_id",
        "topic",
        "notice_id",
        postgresql_where=text("message_id IS NULL"),
        sqlite_where=text("message_id IS NULL"),
    ),
)

messages = Table(  # one mail or call: of one delivery, or a digest of many
    "lamp_messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("recipient_id", Id, nullable=False),
    Column("topic", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # sent, or given up
    Column("failure", Text),  # why it was given up
    Column("unanswered", Integer, nullable=False, server_default="0"),  # how often nobody knows whether it arrived
    Index(None, "recipient_id", "topic", "created_at"),
    Index(
        "lamp_messages_open_idx", "id", postgresql_where=text("ended_at IS NULL"), sqlite_where=text("ended_at IS NULL")
    ),
    Index(None, "created_at"),
)

preferences = Table(  # how a tenant's recipients are told of an event, where that is not as usual
    "lamp_preferences",
    metadata,
    Column("tenant_id", Id, primary_key=True),  # "": the operators
    Column("event", Id, primary_key=True),
    Column("muted", Boolean, nullable=False),
    Column("digest", Text, nullable=False),
    CheckConstraint("digest IN ('immediate', 'hourly', 'daily')", name="digest"),
)

templates = Table(  # a tenant's own words for an event
    "lamp_templates",
    metadata,
    Column("tenant_id", Id, primary_key=True),  # "": the operators
    Column("event", Id, primary_key=True),
    Column("subject", Text),
    Column("text", Text),
    Column("html", Text),
    Column("updated_at", BigInteger, nullable=False),
    Column("failed_at", BigInteger),  # when a message had to do without it the last time
    Column("failure", Text),
)

audit = Table(
    "lamp_audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant_id", Id),  # none: it concerns all tenants
    Column("user_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("result", Text, nullable=False),
    Column("error_message", Text),
    Column("at", BigInteger, nullable=False),
    Column("chain", Id),  # none until it is sealed; then its tenant, or ""
    Column("seq", BigInteger),  # its place there
    Column("hash", Text),  # of what is before it there, and of itself
    Column("restored_until", BigInteger),  # of a copy of what is archived: when it goes again
    Index(None, "tenant_id", "id"),
    Index(None, "tenant_id", "at", "id"),
    Index(None, "at", "id"),
    Index("lamp_audit_chain_seq_key", "chain", "seq", unique=True),
    Index("lamp_audit_unsealed_idx", "id", postgresql_where=text("seq IS NULL"), sqlite_where=text("seq IS NULL")),
    Index(
        "lamp_audit_restored_idx",
        "restored_until",
        postgresql_where=text("restored_until IS NOT NULL"),
        sqlite_where=text("restored_until IS NOT NULL"),
    ),
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

alerts = Table(  # of each rule and what it is about, the last time that it was bad
    "lamp_alerts",
    metadata,
    Column("rule", Id, primary_key=True),
    Column("subject", Id, primary_key=True),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", BigInteger, nullable=False),  # names the episode
    Column("seen_at", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("says", Text, nullable=False),
    Column("fired_at", BigInteger),
    Column("good_since", BigInteger),
    Column("resolved_at", BigInteger),
    Column("told", Boolean, nullable=False),
    CheckConstraint("state IN ('pending', 'firing', 'resolved')", name="state"),
    Index(None, "state", "seen_at"),
)

alert_changes = Table(  # what operators are told: once for each change of an episode
    "lamp_alert_changes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule", Id, nullable=False),
    Column("subject", Id, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("says", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("letter_id", Id),  # none: not put into a message yet
    Column("lettered_at", BigInteger),
    UniqueConstraint("rule", "subject", "since", "event"),
    Index(None, "letter_id", "id"),  # what waits, and what is in one
    Index(None, "rule", "event", "lettered_at"),
)

alert_deliveries = Table(  # a message of changes, for one of its recipients
    "lamp_alert_deliveries",
    metadata,
    Column("letter_id", Id, primary_key=True),
    Column("recipient_id", Id, primary_key=True),
    Column("due_at", BigInteger, nullable=False),  # when somebody may try it; whoever does moves it on first
    Column("tries", Integer, nullable=False),
    Column("ended_at", BigInteger),  # sent, or given up
    Column("failure", Text),  # why it was given up, or did not get through the last time
    Index(
        "lamp_alert_deliveries_open_idx",
        "due_at",
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

alert_silences = Table(  # until when nobody is told
    "lamp_alert_silences",
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule", Text, nullable=False),  # patterns, such as mail-*
    Column("subject", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "until"),
)
