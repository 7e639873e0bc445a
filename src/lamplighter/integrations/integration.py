"""What an integration looks like from outside, and what it is made from. Neither shows a token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Row

from lamplighter.core.clock import from_us, maybe_from_us
from lamplighter.core.secret import Secret
from lamplighter.integrations.audit import Resource
from lamplighter.integrations.storage.tables import integrations

Status = Literal["pending", "active", "expired", "revoked", "error"]
Before = Literal["active", "expired", "revoked", "error"]  # what became of an integration elsewhere
Token = Secret | str | None  # a str is what MWAP stored, still encrypted

SHOWN = [
    *(column for column in integrations.c if column.name not in {"access_token", "refresh_token", "lock_owner"}),
    integrations.c.access_token.is_not(None).label("has_access_token"),
    integrations.c.refresh_token.is_not(None).label("has_refresh_token"),
]


class NewIntegration(Struct, frozen=True, kw_only=True):
    """A tenant's connection to a provider. Without tokens it is pending; without a refresh token it is never refreshed.

    `issued_at`: when its access token was made, now if that is not known. `expires_at` None: it is refreshed at once.
    `status`: what became of it elsewhere. One that is revoked is never refreshed, an expired or failed one at once.
    """

    tenant_id: str
    provider_slug: str
    access_token: Token = None
    refresh_token: Token = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    status: Before = "active"
    connected_at: datetime | None = None
    metadata: Mapping[str, Any] = msgspec.field(default_factory=dict)
    id: str | None = None  # one is made if there is none


class Integration(Struct, frozen=True, kw_only=True):
    """A row, without its tokens."""

    id: str
    tenant_id: str
    provider_slug: str
    has_access_token: bool
    has_refresh_token: bool
    token_version: int
    issued_at: datetime | None
    expires_at: datetime | None
    refresh_at: datetime | None
    scopes: tuple[str, ...]
    status: Status
    status_reason: str | None
    status_changed_at: datetime
    connected_at: datetime | None
    last_refreshed_at: datetime | None
    last_outcome: str | None
    outages: int
    locked_until: datetime | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime

    @property
    def resource(self) -> Resource:
        """As the audit log names it."""
        return Resource("integration", self.id, self.tenant_id)


class Access(Struct, frozen=True, kw_only=True):
    """What calls a provider's API. Without `expires_at` it lasts until it is revoked."""

    access_token: Secret
    issued_at: datetime | None
    expires_at: datetime | None
    token_version: int
    tenant_id: str
    provider_slug: str
    provider_version: int


def place(integration_id: str, field: str) -> str:
    """Where the vault says that a token is."""
    return f"integration/{integration_id}/{field}"


def from_row(row: Row[Any]) -> Integration:
    """An integration from a row of `SHOWN`."""
    return Integration(
        id=row.id,
        tenant_id=row.tenant_id,
        provider_slug=row.provider_slug,
        has_access_token=row.has_access_token,
        has_refresh_token=row.has_refresh_token,
        token_version=row.token_version,
        issued_at=maybe_from_us(row.issued_at),
        expires_at=maybe_from_us(row.expires_at),
        refresh_at=maybe_from_us(row.refresh_at),
        scopes=tuple(row.scopes.split()),
        status=row.status,
        status_reason=row.status_reason,
        status_changed_at=from_us(row.status_changed_at),
        connected_at=maybe_from_us(row.connected_at),
        last_refreshed_at=maybe_from_us(row.last_refreshed_at),
        last_outcome=row.last_outcome,
        outages=row.outages,
        locked_until=maybe_from_us(row.lock_until),
        metadata=row.metadata,
        created_at=from_us(row.created_at),
        updated_at=from_us(row.updated_at),
    )
