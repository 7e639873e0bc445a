"""Callers by JSON Web Token (RFC 7519): signed by the issuer that the settings name, for us, and not too old.

The algorithms are those of the settings, whatever a token says of itself (RFC 8725, 3.1); all are asymmetric, so that a
public key is never taken for a shared secret. Joserfc checks signature and times; who somebody is then follows from
claims that the settings name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import JWTClaimsRegistry, decode
from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.jwks import Jwks

LEEWAY = timedelta(seconds=30)  # that clocks may differ by
LONGEST = 8192  # characters of a token
LONGEST_SUBJECT = 200
MOST_TENANTS = 1000

_UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Issuer(Struct, frozen=True, kw_only=True):
    """Whose tokens count, and what their claims mean."""

    name: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...]
    superadmins: frozenset[str] = frozenset()
    role_claim: str | None = None
    tenants_claim: str | None = None

    def caller(self, claims: dict[str, Any]) -> Caller | None:
        """Who has been given a token with these claims; without a subject nobody has."""
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
            return None
        return Caller(user_id=subject, role=self._role(subject, claims), tenants=self._tenants(claims))

    def _role(self, subject: str, claims: dict[str, Any]) -> Role:
        """The one that may most of those it has; without any, somebody is a tenant."""
        if subject in self.superadmins:
            return Role.SUPERADMIN
        told = _strings(claims.get(self.role_claim)) if self.role_claim else frozenset()
        return next((role for role in Role if role in told), Role.TENANT)

    def _tenants(self, claims: dict[str, Any]) -> frozenset[str]:
        return _strings(claims.get(self.tenants_claim)) if self.tenants_claim else frozenset()


def issuer_of(settings: Settings) -> Issuer | None:
    """The one that the settings name.

    Raises:
        ConfigError: they say too little of it.
    """
    given = (settings.jwt_issuer, settings.jwt_audience, settings.jwt_jwks_url)
    if given == (None, None, None):
        return None
    name, audience, jwks_url = given
    if name is None or audience is None or jwks_url is None:
        raise ConfigError("jwt_issuer, jwt_audience and jwt_jwks_url belong together: give all of them, or none.")
    return Issuer(
        name=name,
        audience=audience,
        jwks_url=jwks_url,
        algorithms=settings.jwt_algorithms,
        superadmins=frozenset(settings.jwt_superadmins),
        role_claim=settings.jwt_role_claim,
        tenants_claim=settings.jwt_tenants_claim,
    )


class Jwt:
    """Tokens of one issuer."""

    def __init__(self, issuer: Issuer, jwks: Jwks, *, clock: Clock) -> None:
        self._issuer = issuer
        self._jwks = jwks
        self._registry = JWSRegistry(algorithms=issuer.algorithms, strict_check_header=False)
        self._claims = JWTClaimsRegistry(
            now=lambda: int(clock().timestamp()),
            leeway=int(LEEWAY.total_seconds()),
            iss={"essential": True, "value": issuer.name},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
        )

    async def caller(self, token: str) -> Caller | None:
        """Whose token that is; None if it lets nobody in, for whatever reason.

        Raises:
            NoKeys: the issuer's keys are not known, and cannot be asked for.
        """
        if len(token) > LONGEST:
            return None
        try:
            header = extract_compact(token.encode(), registry=self._registry).headers()
            if header["alg"] not in self._issuer.algorithms:
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
        return self._issuer.caller(claims)


def _kid(header: dict[str, Any]) -> str | None:
    kid = header.get("kid")
    if kid is None or isinstance(kid, str):
        return kid
    raise ValueError("a key's id is text")


def _strings(claim: object) -> frozenset[str]:
    """A claim that is one string or some; what else is in it counts for nothing."""
    some = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(one for one in some[:MOST_TENANTS] if isinstance(one, str) and one)
