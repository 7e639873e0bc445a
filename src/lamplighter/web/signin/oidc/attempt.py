"""A way to the provider and back: the secrets of it are in a cookie of the browser that is on it.

The provider sees the state and the nonce, and of the verifier a digest. An answer counts only in the browser whose
cookie it fits, so nobody can have another sign in as them. Nothing is kept here that strangers could fill.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

LIFE = 600  # seconds
LONGEST = 100  # characters of each part


class Attempt(NamedTuple):
    """`state` comes back with the answer, `nonce` in the ID token; the `verifier` is sent with the code (RFC 7636)."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Attempt:
        """256 bits each."""
        return cls(*(secrets.token_urlsafe(32) for _ in cls._fields))

    def fits(self, state: str) -> bool:
        """Whether an answer with that state is the one to this."""
        return hmac.compare_digest(self.state.encode(), state.encode(errors="replace"))


class AttemptCookie:
    """Where it is. `secure`: behind https, where no other host can plant it, to have a victim sign in as a stranger."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self.name = "__Host-lamplighter-oidc" if secure else "lamplighter-oidc"

    def put(self, response: Response, attempt: Attempt) -> None:
        """Have the browser keep it for a while."""
        self._set(response, ".".join(attempt), LIFE)

    def read(self, request: Request) -> Attempt | None:
        """What the browser keeps, if it is whole."""
        parts = request.cookies.get(self.name, "").split(".")
        if len(parts) != len(Attempt._fields) or not all(0 < len(part) <= LONGEST for part in parts):
            return None
        return Attempt(*parts)

    def drop(self, response: Response) -> None:
        """Have the browser forget it."""
        self._set(response, "", 0)

    def _set(self, response: Response, value: str, life: int) -> None:
        response.set_cookie(
            self.name, value, life, httponly=True, samesite="lax", secure=self._secure, path="/"
        )  # lax: the provider's redirect is a link to us from another site
