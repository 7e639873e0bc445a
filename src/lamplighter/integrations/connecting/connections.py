"""The authorization code flow (RFC 6749, 4.1) with PKCE (RFC 7636): a person's consent becomes an integration.

begun = await connections.begin("t-1", "gdrive", redirect_uri="https://app.example/callback", user_id="auth|1")
...                                      # keep begun.browser in that browser, send it to begun.url
connected = await connections.finish(request.query_params, browser=Secret(request.cookies[...]))
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial

import msgspec
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]  # it ships no types
from msgspec import Struct

from lamplighter.core.clock import Clock, utcnow
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations import audit
from lamplighter.integrations.answer import CODE
from lamplighter.integrations.connecting import authorizations
from lamplighter.integrations.connecting.authorizations import Keys, Request, Taken
from lamplighter.integrations.connecting.errors import ConnectDenied, ConnectFailed, ConnectRefused
from lamplighter.integrations.integration import Integration, NewIntegration
from lamplighter.integrations.integrations import Integrations
from lamplighter.integrations.oauth import GrantRevoked, TokenClient, TokenError, Tokens
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.registrations import Registrations
from lamplighter.integrations.safe_url import is_safe
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.vault import Vault

log = logging.getLogger(__name__)

LONGEST = 4096  # characters of a value in the provider's answer
PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}")  # of this host: no second slash, no backslash, nothing but ASCII

START_AGAIN = "this answer belongs to no request of this browser, or comes too late: begin to connect again."


class Begun(Struct, frozen=True, kw_only=True):
    """Send the person to `url`, which holds the `state`: it is for their browser only, as is `browser`."""

    url: Secret
    state: Secret
    browser: Secret


class Connected(Struct, frozen=True, kw_only=True):
    """A tenant is connected; the person goes on to `return_to`, a path of yours."""

    integration: Integration
    return_to: str


class Connections:
    """Begins authorizations and finishes them."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        registrations: Registrations,
        integrations: Integrations,
        token_client: TokenClient,
        *,
        clock: Clock = utcnow,
    ) -> None:
        self._database = database
        self._vault = vault
        self._registrations = registrations
        self._integrations = integrations
        self._token_client = token_client
        self._clock = clock

    async def begin(
        self,
        tenant_id: str,
        provider_slug: str,
        *,
        redirect_uri: str,
        user_id: str,
        return_to: str = "/",
        login_hint: str | None = None,
    ) -> Begun:
        """Ask a provider for a tenant's consent, on behalf of a user whom you have let do that.

        Args:
            redirect_uri: where the provider sends its answer; registered there.
            return_to: a path of your own site to go on to afterwards.
            login_hint: which account the provider may suggest.

        Raises:
            UnknownProvider: it is not registered.
            ConfigError: an address cannot be.
            ConnectRefused: there is no such tenant.
        """
        provider = await self._registrations.get(provider_slug)
        _check_addresses(redirect_uri, return_to)
        request, keys = Request(tenant_id, provider_slug, redirect_uri, return_to, user_id), Keys.new()
        put = partial(authorizations.put, request=request, keys=keys, vault=self._vault, now=self._clock())
        if not await self._database.write(put):
            raise ConnectRefused(f"there is no tenant {tenant_id!r:.60} that could be connected: check its id.")
        url = _authorize_url(provider, request, keys, login_hint)
        return Begun(url=url, state=keys.state, browser=keys.browser)

    async def finish(self, answer: Mapping[str, str], *, browser: Secret) -> Connected:
        """Take the provider's answer, the query of the request to `redirect_uri`, and connect.

        A tenant that was connected before is connected anew, under the same id: that heals what was expired, revoked
        or in error. Goes on even if the caller is cancelled, for a code works once.

        Raises:
            ConnectError: nothing was connected.
            ConfigError, VaultError, StoreError: our own set-up or database is at fault.
        """
        state = Secret(_field(answer, "state"))
        take = partial(authorizations.take, state=state, browser=browser, vault=self._vault, now=self._clock())
        taken = await self._database.write(take)
        if taken is None:
            raise ConnectRefused(START_AGAIN)
        provider = await self._registrations.get(taken.request.provider_slug)
        code = _code(provider, answer, taken.request.return_to)
        return await asyncio.shield(asyncio.create_task(self._connect(provider, taken, code)))

    async def _connect(self, provider: Provider, taken: Taken, code: Secret) -> Connected:
        request, started = taken.request, self._clock()
        try:
            tokens = await self._token_client.exchange(
                provider, code, taken.verifier, request.redirect_uri, self._clock
            )
        except TokenError as error:
            raise _failure(provider, error, request.return_to) from error
        if tokens.refresh_token is None and not tokens.is_lasting:
            log.warning(
                "%s gave tenant %s no refresh token, so this connection ends with its access token: check the "
                "provider's scopes and auth_url for what it calls offline access.",
                provider.display_name,
                request.tenant_id,
            )
        with audit.acting(msgspec.structs.replace(audit.actor(), user_id=request.user_id)):
            integration = await self._integrations.connect(_new(provider, request, tokens, started))
        return Connected(integration=integration, return_to=request.return_to)


def _check_addresses(redirect_uri: str, return_to: str) -> None:
    if not is_safe(redirect_uri):
        raise ConfigError(
            "redirect_uri must be an https:// URL without user name, password or fragment (http:// is for loopback "
            "only): give the one that is registered at the provider."
        )
    if not PATH.fullmatch(return_to):
        raise ConfigError("return_to must be a path of this site, such as /settings: give no other address.")


def _authorize_url(provider: Provider, request: Request, keys: Keys, login_hint: str | None) -> Secret:
    client = OAuth2Client(
        None,
        client_id=provider.client_id,
        scope=" ".join(provider.scopes) or None,
        redirect_uri=request.redirect_uri,
        code_challenge_method="S256",
    )
    hint = {} if login_hint is None else {"login_hint": login_hint}
    url, _state = client.create_authorization_url(
        provider.auth_url, state=keys.state.reveal(), code_verifier=keys.verifier.reveal(), **hint
    )
    return Secret(url)


def _code(provider: Provider, answer: Mapping[str, str], return_to: str) -> Secret:
    name = provider.display_name
    if "iss" in answer and provider.issuer is not None and answer["iss"] != provider.issuer:  # RFC 9207: a mix-up
        raise ConnectRefused(f"the answer does not come from {name}: begin to connect again.", return_to)
    if "error" in answer:
        code = answer["error"] if CODE.fullmatch(answer["error"]) else "an unreadable error"
        if code in {"access_denied", "consent_required"}:
            raise ConnectDenied(f"{name} was not allowed to share anything: connect again to allow it.", return_to)
        raise ConnectFailed(f"{name} did not ask for consent ({code}): check client id, scopes and URLs.", return_to)
    code = _field(answer, "code")
    if not code:
        raise ConnectRefused(f"the answer of {name} holds no code: begin to connect again.", return_to)
    return Secret(code)


def _field(answer: Mapping[str, str], name: str) -> str:
    value = answer.get(name, "")
    return value if len(value) <= LONGEST else ""


def _failure(provider: Provider, error: TokenError, return_to: str) -> ConnectFailed:
    if isinstance(error, GrantRevoked):
        text = f"{provider.display_name} does not know its own code any more ({error.reason}): begin to connect again."
        return ConnectFailed(text, return_to)
    return ConnectFailed(str(error), return_to)


def _new(provider: Provider, request: Request, tokens: Tokens, started: datetime) -> NewIntegration:
    return NewIntegration(
        tenant_id=request.tenant_id,
        provider_slug=request.provider_slug,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        issued_at=started,
        expires_at=None if tokens.is_lasting else tokens.expires_at,
        scopes=tuple((tokens.scope or " ".join(provider.scopes)).split()),
        metadata={"connected_by": request.user_id},
    )
