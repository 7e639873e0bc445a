"""Signing somebody in at an OpenID provider: to it with state, nonce and challenge, and back with a code.

    begun = await oidc.begin()
    ...                                       # the browser keeps begun.attempt, and goes to begun.url
    signed_in = await oidc.finish(request.query_params, attempt)

The code is exchanged for an ID token, which says who it is. Its access token is not used, and not kept.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]  # it ships no types

from lamplighter.core.clock import Clock
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.answer import CODE
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.oauth import TokenClient, TokenError
from lamplighter.web.roles import Caller
from lamplighter.web.signin.jwks import NoKeys
from lamplighter.web.signin.oidc.attempt import Attempt
from lamplighter.web.signin.oidc.client import Client
from lamplighter.web.signin.oidc.endpoints import Endpoints, Provided
from lamplighter.web.signin.oidc.errors import NotSignedIn
from lamplighter.web.signin.oidc.people import People
from lamplighter.web.signin.signed import Signed

LONGEST_CODE = 4096  # characters

START_AGAIN = "This answer belongs to no sign-in of this browser, or comes too late: sign in again."

_log = logging.getLogger("lamplighter.web")


class Begun(NamedTuple):
    """Send the person to `url`, and have their browser keep the `attempt`."""

    url: str
    attempt: Attempt


class SignedIn(NamedTuple):
    """Who it is, and the provider's word for it, by which it knows later whom to sign out."""

    caller: Caller
    id_token: Secret


class Oidc:
    """Signs people in at one provider. `http` is opened and closed by others."""

    def __init__(self, client: Client, people: People, http: Http, *, clock: Clock) -> None:
        self.name = client.name
        self._client = client
        self._people = people
        self._clock = clock
        self._provided = Provided(client, http, clock=clock)
        self._token_client = TokenClient(http)

    async def begin(self) -> Begun:
        """A way to the provider.

        Raises:
            NotSignedIn: it cannot be asked who somebody is.
        """
        provider, attempt = (await self._endpoints()).provider, Attempt.new()
        client = OAuth2Client(
            None,
            client_id=provider.client_id,
            scope=" ".join(provider.scopes),
            redirect_uri=self._client.redirect_uri,
            code_challenge_method="S256",
        )
        url, _state = client.create_authorization_url(
            provider.auth_url, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier
        )
        return Begun(url, attempt)

    async def finish(self, answer: Mapping[str, str], attempt: Attempt | None) -> SignedIn:
        """Who it is that the provider's answer speaks of: the query of a request to the redirect URI.

        Raises:
            NotSignedIn: the answer is not this browser's, or no good; or it is nobody who may come in here.
        """
        if attempt is None or not attempt.fits(answer.get("state", "")):
            raise NotSignedIn(START_AGAIN)
        code = self._code(answer)
        id_token = await self._exchange(code, attempt)
        claims = await self._checked(id_token, attempt)
        caller = self._people.caller(claims)
        if caller is None:
            _log.warning("%r was signed in at %s, and has no role here.", claims.get("sub"), self.name)
            raise NotSignedIn(f"{self.name} knows you, but you have no role here: ask a superadmin to give you one.")
        return SignedIn(caller, id_token)

    async def sign_out_url(self, id_token: str | None) -> str | None:
        """Where a person signs out at the provider too (OpenID Connect RP-Initiated Logout 1.0), if it has that."""
        try:
            url = (await self._endpoints()).end_session_url
        except NotSignedIn:
            return None
        if url is None:
            return None
        query = {"client_id": self._client.client_id, "post_logout_redirect_uri": self._client.signed_out_uri}
        query |= {"id_token_hint": id_token} if id_token else {}
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"

    async def _endpoints(self) -> Endpoints:
        try:
            return await self._provided.endpoints()
        except ConfigError as error:
            _log.warning("Nobody can sign in by OpenID: %s", error)
            raise self._is_down() from error

    def _code(self, answer: Mapping[str, str]) -> Secret:
        if "iss" in answer and answer["iss"] != self._client.issuer:  # RFC 9207: another's answer, in this one's place
            raise NotSignedIn(START_AGAIN)
        if "error" in answer:
            code = answer["error"] if CODE.fullmatch(answer["error"]) else "an unreadable error"
            raise NotSignedIn(f"{self.name} did not say who you are ({code}): sign in again.")
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise NotSignedIn(START_AGAIN)
        return Secret(code)

    async def _exchange(self, code: Secret, attempt: Attempt) -> Secret:
        provider = (await self._endpoints()).provider
        try:
            tokens = await self._token_client.exchange(
                provider, code, Secret(attempt.verifier), self._client.redirect_uri, self._clock
            )
        except TokenError as error:
            _log.warning("%s gave no token for a code (%s).", self.name, error.reason)
            raise self._is_down() from error
        if tokens.id_token is None:
            _log.warning("%s gave no ID token: see that its client may ask for the scope openid.", self.name)
            raise self._is_down()
        return tokens.id_token

    async def _checked(self, id_token: Secret, attempt: Attempt) -> dict[str, Any]:
        """What it says, if it is for us and for this attempt (OpenID Connect Core 1.0, 3.1.3.7)."""
        us = self._client.client_id
        try:
            signed = Signed(
                await self._provided.keys(),
                issuer=self._client.issuer,
                audience=us,
                algorithms=self._client.algorithms,
                clock=self._clock,
            )
            claims = await signed.claims(id_token.reveal())
        except NoKeys as error:
            raise self._is_down() from error
        if claims is None or not _is_for(us, claims) or not _has_nonce(claims, attempt.nonce):
            _log.warning("%s gave an ID token that is no good: nobody was signed in by it.", self.name)
            raise NotSignedIn(f"{self.name} did not say who you are in a way that counts here: sign in again.")
        return claims

    def _is_down(self) -> NotSignedIn:
        return NotSignedIn(f"{self.name} cannot be asked who you are: try again. The log here says why.", 503)


def _is_for(us: str, claims: dict[str, Any]) -> bool:
    """Of several audiences, one is whom it was given to."""
    has_many = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    return claims.get("azp", None if has_many else us) == us


def _has_nonce(claims: dict[str, Any], nonce: str) -> bool:
    told = claims.get("nonce")
    return isinstance(told, str) and hmac.compare_digest(told.encode(errors="replace"), nonce.encode())
