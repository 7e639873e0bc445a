"""Grants of the demo world, as its endpoints answer them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from lamplighter.demo.faults import Name

MOST_USERS = 200  # in one request


class TokenGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What the token endpoint answered; `expires_in` in seconds. Its repr shows no token."""

    access_token: str
    expires_in: int
    scope: str
    refresh_token: str | None = None  # a provider that does not rotate sends it with the first answer only

    def __repr__(self) -> str:
        return f"TokenGrant(expires_in={self.expires_in}, scope={self.scope!r})"


class Consents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Consents of many users to everything that a provider has, given at once through the operator."""

    provider: Name
    users: Annotated[list[Name], Meta(max_length=MOST_USERS)]
