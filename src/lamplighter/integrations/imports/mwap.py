"""What MWAP keeps in MongoDB: its collections cloudProviders, tenants and cloudProviderIntegrations, as exported.

An integration names its provider and its tenant by their ids, some of them ObjectIds and some their texts. MWAP counts
on `connectedAt` as the moment at which it last stored tokens, so that is when they were issued.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.imports import fields as f
from lamplighter.integrations.imports.document import document
from lamplighter.integrations.imports.extended import plain
from lamplighter.integrations.imports.fault import BadRecord
from lamplighter.integrations.imports.source import Piece
from lamplighter.integrations.integration import NewIntegration
from lamplighter.integrations.provider import Provider, ProviderFacts
from lamplighter.integrations.tenants import Tenant
from lamplighter.integrations.vault import MwapCipher, VaultError

LARGEST_METADATA = 16 * 1024  # bytes of JSON
# What an authorization that was under way left behind: a code and its verifier are secrets, and of no use any more.
PASSING = {
    "oauth_code",
    "redirect_uri",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "pkce_flow",
}
STATUSES = {status: status for status in ("active", "expired", "revoked", "error")} | {"pending": "active"}


class Mwap:
    """Reads documents, whose secrets only MWAP's key opens. `facts`: what we know of providers by slug."""

    def __init__(self, cipher: MwapCipher, facts: Mapping[str, ProviderFacts]) -> None:
        self._cipher = cipher
        self._facts = facts

    def provider(self, piece: Piece) -> tuple[str, Provider]:
        """The id that MWAP knows it by, and the provider: our facts, with what the document says on top.

        Raises BadRecord, as the others do.
        """
        fields = plain(document(piece))
        if (fields.get("grantType") or "authorization_code", fields.get("tokenMethod") or "POST") != (
            "authorization_code",
            "POST",
        ):
            raise BadRecord("its grantType or tokenMethod is not authorization_code and POST: register it by hand.")
        slug = f.needed(fields, "slug")
        known = self._facts.get(slug)
        said = {
            "slug": slug,
            "display_name": f.text(fields, "displayName") or f.text(fields, "name"),
            "auth_url": _auth_url(f.text(fields, "authUrl", most=2000), known),
            "token_url": f.text(fields, "tokenUrl", most=2000),
            "scopes": f.scopes(fields, "scopes"),
        }
        values = (msgspec.structs.asdict(known) if known else {}) | {key: value for key, value in said.items() if value}
        secret = self._opened(fields, "clientSecret")
        if secret is None:
            raise BadRecord("clientSecret is missing: give it to the provider in MWAP, or register it by hand.")
        try:
            facts = msgspec.convert(values, ProviderFacts)
        except msgspec.ValidationError:
            raise BadRecord("it lacks a name, an authUrl or a tokenUrl: complete it in MWAP.") from None
        except ConfigError as error:
            raise BadRecord(str(error)) from None
        return f.needed(fields, "_id"), facts.with_client(f.needed(fields, "clientId"), secret)

    def tenant(self, piece: Piece) -> Tenant:
        """A tenant, under MWAP's id."""
        fields = plain(document(piece))
        return Tenant(
            id=f.needed(fields, "_id"),
            name=f.needed(fields, "name"),
            owner_id=f.needed(fields, "ownerId"),
            archived=fields.get("archived") is True,
            created_at=f.moment(fields, "createdAt"),
        )

    def integration(self, piece: Piece, slugs: Mapping[str, str]) -> NewIntegration:
        """An integration, under MWAP's id. `slugs`: what the providers' ids mean."""
        fields = plain(document(piece))
        slug = slugs.get(f.needed(fields, "providerId"))
        if slug is None:
            raise BadRecord("its provider is not in the export of the providers: export both at the same time.")
        status = STATUSES.get(f.text(fields, "status") or "active")
        if status is None:
            raise BadRecord(f"status is none of {', '.join(STATUSES)}: correct it in MWAP.")
        connected_at = f.moment(fields, "connectedAt")
        return NewIntegration(
            id=f.our_id(fields, "_id"),
            tenant_id=f.needed(fields, "tenantId"),
            provider_slug=slug,
            access_token=self._opened(fields, "accessToken"),
            refresh_token=self._opened(fields, "refreshToken"),
            issued_at=connected_at,
            expires_at=f.moment(fields, "tokenExpiresAt"),
            scopes=f.scopes(fields, "scopesGranted"),
            status=status,  # type: ignore[arg-type]  # from the table above
            connected_at=connected_at,
            metadata=_metadata(fields),
        )

    def _opened(self, fields: f.Fields, name: str) -> Secret | None:
        stored = f.text(fields, name, most=2 * f.LONGEST_TOKEN)  # base64 takes a third more, and salt
        try:
            opened = self._cipher.decrypt(stored or "")
        except VaultError:
            raise BadRecord(f"{name} was altered, or is under another key: check mwap_encryption_key.") from None
        return f.token({name: opened}, name)


def _auth_url(said: str | None, known: ProviderFacts | None) -> str | None:
    """The same page as ours keeps our parameters: without them some providers give no refresh token."""
    if said and known and known.auth_url.partition("?")[0] == said.rstrip("/"):
        return known.auth_url
    return said


def _metadata(fields: f.Fields) -> dict[str, Any]:
    found = fields.get("metadata") or {}
    if not isinstance(found, dict):
        raise BadRecord("metadata is no object: correct it in MWAP.")
    kept = msgspec.to_builtins({name: value for name, value in found.items() if name not in PASSING})
    if len(msgspec.json.encode(kept)) > LARGEST_METADATA:
        raise BadRecord(f"metadata is larger than {LARGEST_METADATA // 1024} KiB: make it smaller in MWAP.")
    return dict(kept)
