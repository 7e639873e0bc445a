"""Callers by JSON Web Token: who somebody is follows from claims that the settings name."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from lamplighter.core.clock import Clock
from lamplighter.core.config import Settings
from lamplighter.core.errors import ConfigError
from lamplighter.web.roles import Caller, Role
from lamplighter.web.signin.jwks import Jwks
from lamplighter.web.signin.signed import Signed, subject_of, texts


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
        if (subject := subject_of(claims)) is None:
            return None
        return Caller(user_id=subject, role=self._role(subject, claims), tenants=self._tenants(claims))

    def _role(self, subject: str, claims: dict[str, Any]) -> Role:
        """The one that may most of those it has; without any, somebody is a tenant."""
        if subject in self.superadmins:
            return Role.SUPERADMIN
        told = texts(claims.get(self.role_claim)) if self.role_claim else frozenset()
        return next((role for role in Role if role in told), Role.TENANT)

    def _tenants(self, claims: dict[str, Any]) -> frozenset[str]:
        return texts(claims.get(self.tenants_claim)) if self.tenants_claim else frozenset()


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
        self._signed = Signed(
            jwks, issuer=issuer.name, audience=issuer.audience, algorithms=issuer.algorithms, clock=clock
        )

    async def caller(self, token: str) -> Caller | None:
        """Whose token that is; None if it lets nobody in, for whatever reason.

        Raises:
            NoKeys: the issuer's keys are not known, and cannot be asked for.
        """
        claims = await self._signed.claims(token)
        return None if claims is None else self._issuer.caller(claims)
