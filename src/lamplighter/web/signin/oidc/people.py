"""From what a provider says of somebody to what they are here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.signed import subject_of, texts


class People(Struct, frozen=True, kw_only=True):
    """Which claim says what somebody is, and which of its values stand for which role. Without one they are nobody."""

    claim: str
    values: Mapping[Role, frozenset[str]]
    tenants_claim: str | None = None

    def caller(self, claims: dict[str, Any]) -> Caller | None:
        """Who has these claims: the role that may most of those they have."""
        subject, told = subject_of(claims), self._told(claims)
        role = next((role for role in Role if told & self.values.get(role, frozenset())), None)
        if subject is None or role is None:
            return None
        tenants = texts(claims.get(self.tenants_claim)) if self.tenants_claim else frozenset[str]()
        return Caller(user_id=subject, role=role, tenants=tenants)

    def _told(self, claims: dict[str, Any]) -> frozenset[str]:
        """An address that its provider has not verified is anybody's."""
        if self.claim == "email" and claims.get("email_verified") is not True:
            return frozenset()
        return texts(claims.get(self.claim))
