"""What is asked of an OAuth 2.0 token endpoint (RFC 6749, 4.1.3 and 6), and what each way of failing means.

    TokenError
    ├── GrantRevoked         permanent: only the user can help, by connecting again
    │   └── ReauthNeeded         the account is fine, but has to be signed in to again
    ├── OperatorFault        our configuration is wrong: no tenant has lost anything
    ├── ProviderDown         an outage or a rate limit: try later, as often as it takes
    ├── Ambiguous            sent, but no answer came: the refresh token may be spent
    └── BadAnswer            it said yes, but not in a form that can be used
        └── IncompleteAnswer     no access token, but perhaps a rotated refresh token that must be kept

A code that is not known counts as OperatorFault, never as GrantRevoked: a provider that invents a code, or a proxy
that answers in its place, must not disconnect every tenant.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote_plus

import httpx2
from msgspec import Struct

from lamplighter.core.errors import LamplighterError
from lamplighter.core.secret import Secret
from lamplighter.integrations.answer import CODE, HEADERS, Answer, ask, scrub
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.provider import ErrorKind, Provider

LONGEST_LIFETIME = 366 * 86_400  # seconds

# What an error code means at any provider; `Provider.error_codes` is asked first.
ERROR_CODES: dict[str, ErrorKind] = {
    "invalid_grant": "revoked",
    "interaction_required": "reauth",
    "login_required": "reauth",
    "consent_required": "reauth",
    "temporarily_unavailable": "down",
    "server_error": "down",
    "slow_down": "down",
    "rateLimitExceeded": "down",
    "userRateLimitExceeded": "down",
    "rate_limited": "down",
    "ratelimited": "down",
    "too_many_requests": "down",
    "TooManyRequests": "down",
}


class TokenError(LamplighterError):
    """A refresh that gave no tokens. `reason` is a short code; text and reason hold no secret."""

    sentence: ClassVar[str]

    def __init__(
        self, provider: Provider, reason: str, *, quote: str = "", retry_after: timedelta | None = None
    ) -> None:
        why = f"{reason}: {quote}" if quote else reason
        super().__init__(self.sentence.format(provider=provider.display_name, why=why))
        self.reason = reason
        self.retry_after = retry_after


class GrantRevoked(TokenError):
    """The provider no longer honours the refresh token, for good."""

    sentence = "{provider} no longer accepts this grant ({why}): ask the tenant's owner to connect it again."


class ReauthNeeded(GrantRevoked):
    """Only the user, in a browser, can satisfy the provider."""

    sentence = "{provider} wants the user to sign in again ({why}): ask the tenant's owner to connect it again."


class OperatorFault(TokenError):
    """The provider refused this service rather than the tenant."""

    sentence = "{provider} refused this service's own set-up ({why}): check client id, secret, scopes and token URL."


class ProviderDown(TokenError):
    """The provider could not be reached, is out of order, or asks for fewer requests.

    `retry_in` is set by who knows how many outages there were in a row.
    """

    retry_in: timedelta | None = None
    sentence = "{provider} is out of reach or asks to wait ({why}): leave it, the refresh is tried again later."


class Ambiguous(TokenError):
    """The request may have been carried out although no answer came: try once more before believing a refusal."""

    sentence = "{provider} did not finish its answer ({why}): try once more, the refresh may have happened or not."


class BadAnswer(TokenError):
    """A success that cannot be read."""

    sentence = "{provider} answered a refresh with something unusable ({why}): check that its token URL is right."


class IncompleteAnswer(BadAnswer):
    """A success without an access token. Store `refresh_token` if there is one: the old one may be spent."""

    def __init__(self, provider: Provider, refresh_token: Secret | None) -> None:
        super().__init__(provider, "no_access_token")
        self.refresh_token = refresh_token


ERRORS: dict[ErrorKind, type[TokenError]] = {
    "revoked": GrantRevoked,
    "reauth": ReauthNeeded,
    "operator": OperatorFault,
    "down": ProviderDown,
}


class Tokens(Struct, frozen=True, kw_only=True):
    """What came. No `refresh_token`: keep the old one; no `scope`: as before. `warnings` are sentences.

    `is_lasting`: the provider said nothing of an end, and gave no refresh token either. `id_token`: who consented, if
    it was asked that (OpenID Connect); nobody has checked it.
    """

    access_token: Secret
    refresh_token: Secret | None
    expires_at: datetime
    scope: str | None
    token_type: str
    warnings: tuple[str, ...] = ()
    is_lasting: bool = False
    id_token: Secret | None = None


class TokenClient:
    """Asks token endpoints for tokens, over a client that it does not own. `timeout`: seconds for all of it."""

    def __init__(self, http: Http, *, timeout: float = 10) -> None:
        self._http = http
        self.timeout = timeout
        # Pool, TCP and TLS together take less than the whole: when the whole is over, the request has been sent.
        self._phases = httpx2.Timeout(timeout, pool=timeout * 0.3, connect=timeout * 0.3)

    async def refresh(self, provider: Provider, refresh_token: Secret, now: Callable[[], datetime]) -> Tokens:
        """Exchange the refresh token for new tokens.

        Shield it from cancellation and store what it returns before anything else: the old token may be spent.
        `expires_at` counts from before the request was sent, so that a slow answer cannot make a token look younger.
        Raises a TokenError.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        return await self._ask(provider, form, (refresh_token.reveal(),), now)

    async def exchange(
        self, provider: Provider, code: Secret, verifier: Secret, redirect_uri: str, now: Callable[[], datetime]
    ) -> Tokens:
        """Exchange an authorization code, which can be done once, with the verifier of its challenge (RFC 7636).

        Raises a TokenError; GrantRevoked is a code that the provider does not know, or not any more.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier.reveal(),
        }
        return await self._ask(provider, form, (code.reveal(), verifier.reveal()), now)

    async def _ask(
        self, provider: Provider, form: Mapping[str, str], secrets: tuple[str, ...], now: Callable[[], datetime]
    ) -> Tokens:
        started = now()
        answer = await self._post(provider, form)
        secrets = (*secrets, provider.client_secret.reveal(), basic(provider))
        if not answer.is_success:
            raise _refusal(provider, secrets, answer, now())
        body = answer.body
        if body is None:
            raise BadAnswer(provider, "too_large" if answer.is_cut else "not_json")
        access_token, refresh_token = _secret(body, "access_token"), _secret(body, "refresh_token")
        if access_token is not None:
            return _tokens(provider, body, access_token, refresh_token, started)
        if refresh_token is None and (body.get("error") or body.get("ok") is False):
            raise _refusal(provider, secrets, answer, now())
        raise IncompleteAnswer(provider, refresh_token)

    async def _post(self, provider: Provider, form: Mapping[str, str]) -> Answer:
        headers, form = dict(HEADERS), dict(form)
        if provider.client_auth == "basic":
            headers["Authorization"] = f"Basic {basic(provider)}"
        else:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret.reveal()}
        try:
            how = {"data": form, "headers": headers, "timeout": self._phases}
            return await ask(self._http, "POST", provider.token_url, within=self.timeout, **how)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            raise ProviderDown(provider, "not_reached") from error
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise Ambiguous(provider, "timeout") from error
        except httpx2.RequestError as error:  # whatever else can happen may have happened after the sending
            raise Ambiguous(provider, "connection_lost") from error


def basic(provider: Provider) -> str:
    """RFC 6749, 2.3.1: id and secret are form-encoded first, so that a ':' in the id does not end it."""
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret.reveal())}"
    return base64.b64encode(pair.encode()).decode()


def _secret(body: dict[str, Any], field: str) -> Secret | None:
    text = body.get(field)
    return Secret(text) if isinstance(text, str) and text else None


def _text(body: dict[str, Any], field: str) -> str | None:
    text = body.get(field)
    return text if isinstance(text, str) else None


def _tokens(
    provider: Provider, body: dict[str, Any], access_token: Secret, refresh_token: Secret | None, started: datetime
) -> Tokens:
    expires_in = body.get("expires_in")
    lifetime = _lifetime(expires_in)
    warning = (
        f"{provider.display_name} sent an unusable expires_in, so {provider.default_lifetime} s are assumed: "
        "set its default_lifetime if its tokens live shorter."
    )
    scope = _text(body, "scope")
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token,
        expires_at=started + timedelta(seconds=lifetime or provider.default_lifetime),
        scope=scope and scope.replace(",", " "),  # as GitHub and Slack write them
        token_type=_text(body, "token_type") or "Bearer",
        warnings=(warning,) if lifetime is None and expires_in is not None else (),
        is_lasting=expires_in is None and refresh_token is None,
        id_token=_secret(body, "id_token"),
    )


def _lifetime(expires_in: object) -> float | None:
    """Seconds from 1 to a year, from a number or its text; None for anything else."""
    if not isinstance(expires_in, float | str):
        return None
    try:
        seconds = float(expires_in)
    except ValueError:
        return None
    return seconds if 1 <= seconds <= LONGEST_LIFETIME else None  # NaN is neither


def _refusal(provider: Provider, secrets: Iterable[str], answer: Answer, now: datetime) -> TokenError:
    code = answer.code(provider.error_codes.keys() | ERROR_CODES.keys())
    kind = _kind(provider, answer.status, code)
    is_known = code in provider.error_codes or (CODE.fullmatch(code) and scrub(code, secrets) == code)
    return ERRORS[kind](
        provider,
        code if is_known else f"http_{answer.status}",
        quote=answer.quote(secrets),
        retry_after=answer.retry_after(now) if kind == "down" else None,
    )


def _kind(provider: Provider, status: int, code: str) -> ErrorKind:
    if code in provider.error_codes:
        return provider.error_codes[code]
    if status >= 500 or status in {408, 425, 429}:
        return "down"
    return ERROR_CODES.get(code, "operator")
