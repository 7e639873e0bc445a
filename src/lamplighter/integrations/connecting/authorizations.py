"""Authorizations that are under way: asked of a provider, and not answered yet.

A state is kept as a digest, is taken out by the first answer that names it, and says whose it is: the tenant is never
read from an answer. It belongs to the browser that began it, or a stranger could have a victim connect the
stranger's account (RFC 9700, 4.7).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from lamplighter.core.clock import to_us
from lamplighter.core.secret import Secret
from lamplighter.integrations.storage.tables import authorizations, tenants
from lamplighter.integrations.vault import Vault

LIFETIME = timedelta(minutes=10)
SWEPT = 100  # old ones that are forgotten when a new one begins

_row = authorizations.c


class Request(NamedTuple):
    """What is asked, by whom, and where the person goes afterwards."""

    tenant_id: str
    provider_slug: str
    redirect_uri: str
    return_to: str
    user_id: str


class Keys(NamedTuple):
    """The secrets of one authorization: the state and the challenge's verifier go to the provider, one stays here."""

    state: Secret
    browser: Secret
    verifier: Secret

    @classmethod
    def new(cls) -> Keys:
        """256 bits each, and as many characters as RFC 7636 wants."""
        return cls(*(Secret(secrets.token_urlsafe(32)) for _ in cls._fields))


class Taken(NamedTuple):
    """An authorization whose answer has come; it is not in the table any more."""

    request: Request
    verifier: Secret


def put(connection: Connection, request: Request, keys: Keys, vault: Vault, now: datetime) -> bool:
    """Keep it until it is answered, or its time is over. False: there is no such tenant, or it is archived."""
    _forget_old(connection, now)
    known = select(tenants.c.id).where(tenants.c.id == request.tenant_id, tenants.c.archived.is_(False))
    if connection.execute(known).first() is None:
        return False
    state = _digest(keys.state)
    values = request._asdict() | {
        "state": state,
        "browser": _digest(keys.browser),
        "verifier": vault.encrypt(keys.verifier.reveal(), _place(state)),
        "expires_at": to_us(now + LIFETIME),
    }
    connection.execute(insert(authorizations), values)
    return True


def take(connection: Connection, state: Secret, browser: Secret, vault: Vault, now: datetime) -> Taken | None:
    """What that state belongs to, once; None if it is unknown, used, too old, or another browser's."""
    digest = _digest(state)
    row = connection.execute(delete(authorizations).where(_row.state == digest).returning(*_row)).first()
    if row is None or row.expires_at <= to_us(now) or not hmac.compare_digest(row.browser, _digest(browser)):
        return None
    request = Request(row.tenant_id, row.provider_slug, row.redirect_uri, row.return_to, row.user_id)
    return Taken(request, Secret(vault.decrypt(row.verifier, _place(digest))))


def _forget_old(connection: Connection, now: datetime) -> None:
    old = select(_row.state).where(_row.expires_at <= to_us(now)).order_by(_row.expires_at).limit(SWEPT)
    connection.execute(delete(authorizations).where(_row.state.in_(old)))


def _digest(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal().encode()).hexdigest()


def _place(state: str) -> str:
    return f"authorization/{state}/verifier"
