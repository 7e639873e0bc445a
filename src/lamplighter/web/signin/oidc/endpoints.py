"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0): asked when needed, and known for an hour."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from lamplighter.core.clock import Clock
from lamplighter.core.errors import ConfigError
from lamplighter.integrations.discovery import client_auth_of, describe, url_of
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.provider import Provider, ProviderFacts
from lamplighter.integrations.safe_url import is_safe
from lamplighter.web.signin.jwks import Jwks
from lamplighter.web.signin.oidc.client import Client

KNOWN = timedelta(hours=1)

_log = logging.getLogger("lamplighter.web")


class Endpoints(NamedTuple):
    """Where it is asked: to sign somebody in, for its keys, and to sign them out again if it can."""

    provider: Provider
    jwks_url: str
    end_session_url: str | None


class Provided:
    """The endpoints of one provider, and its keys."""

    def __init__(self, client: Client, http: Http, *, clock: Clock) -> None:
        self._client = client
        self._http = http
        self._clock = clock
        self._known: Endpoints | None = None
        self._asked_at: datetime | None = None
        self._jwks: Jwks | None = None
        self._asking = asyncio.Lock()

    async def endpoints(self) -> Endpoints:
        """As it told them last; while it is down, what it told before goes on counting.

        Raises:
            ConfigError: it has never told anything that can be used.
        """
        async with self._asking:
            if self._known is None or self._is_old():
                self._known = await self._ask()
                self._asked_at = self._clock()
        return self._known

    async def keys(self) -> Jwks:
        """Its keys, which are asked for anew where it shows them elsewhere than before. Raises ConfigError."""
        url = (await self.endpoints()).jwks_url
        if self._jwks is None or self._jwks.url != url:
            self._jwks = Jwks(self._http, url, clock=self._clock)
        return self._jwks

    async def _ask(self) -> Endpoints:
        try:
            return _read(await describe(self._http, self._client.issuer), self._client)
        except ConfigError as error:
            if self._known is None:
                raise
            _log.warning("The OpenID provider does not say where it is, so it is asked where it was: %s", error)
            return self._known

    def _is_old(self) -> bool:
        return self._asked_at is None or not timedelta() <= self._clock() - self._asked_at < KNOWN


def _read(told: dict[str, Any], client: Client) -> Endpoints:
    issuer = client.issuer
    facts = ProviderFacts(
        slug="oidc",
        display_name=client.name,
        issuer=issuer,
        auth_url=url_of(told, "authorization_endpoint", issuer),
        token_url=url_of(told, "token_endpoint", issuer),
        scopes=client.scopes,
        client_auth=client_auth_of(told, issuer),
    )
    return Endpoints(
        provider=facts.with_client(client.client_id, client.client_secret),
        jwks_url=_safe(url_of(told, "jwks_uri", issuer), issuer),
        end_session_url=_safe(told["end_session_endpoint"], issuer) if told.get("end_session_endpoint") else None,
    )


def _safe(url: object, issuer: str) -> str:
    if not isinstance(url, str) or not is_safe(url):
        raise ConfigError(f"{issuer} names an address that is not https://: sign in at another provider.")
    return url
