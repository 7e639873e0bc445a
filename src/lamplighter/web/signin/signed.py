"""JSON Web Tokens (RFC 7519) of one issuer: signed by a key of its, for one audience, neither too early nor too late.

The algorithms are those that are given, whatever a token says of itself (RFC 8725, 3.1); all are asymmetric, so that a
public key is never taken for a shared secret. Joserfc checks signature and times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import JWTClaimsRegistry, decode

from lamplighter.core.clock import Clock
from lamplighter.web.signin.jwks import Jwks

LEEWAY = timedelta(seconds=30)  # that clocks may differ by
LONGEST = 8192  # characters of a token
LONGEST_SUBJECT = 200
MOST_VALUES = 1000  # of a claim

_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Signed:
    """Reads such tokens."""

    def __init__(self, jwks: Jwks, *, issuer: str, audience: str, algorithms: Sequence[str], clock: Clock) -> None:
        self._jwks = jwks
        self._algorithms = frozenset(algorithms)
        self._registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        self._claims = JWTClaimsRegistry(
            now=lambda: int(clock().timestamp()),
            leeway=int(LEEWAY.total_seconds()),
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )

    async def claims(self, token: str) -> dict[str, Any] | None:
        """What a good token says; None for any other, whatever is wrong with it.

        Raises:
            NoKeys: the issuer's keys are not known, and cannot be asked for.
        """
        if len(token) > LONGEST:
            return None
        try:
            header = extract_compact(token.encode(), registry=self._registry).headers()
            if header["alg"] not in self._algorithms:
                return None
            key = await self._jwks.find(_kid(header))
            if key is None:
                return None
            key.check_use("sig")
            key.check_alg(header["alg"])
            claims = decode(token, key, registry=self._registry).claims
            self._claims.validate(claims)
        except _UNREADABLE:
            return None
        return claims


def subject_of(claims: dict[str, Any]) -> str | None:
    """Whom they are about; None where that is not said in a way that can be used."""
    subject = claims.get("sub")
    is_usable = isinstance(subject, str) and 0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable()
    return subject if is_usable else None


def texts(claim: object) -> frozenset[str]:
    """A claim that is one text or some; what else is in it counts for nothing."""
    some = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(one for one in some[:MOST_VALUES] if isinstance(one, str) and one)


def _kid(header: dict[str, Any]) -> str | None:
    kid = header.get("kid")
    if kid is None or isinstance(kid, str):
        return kid
    raise ValueError("a key's id is text")
