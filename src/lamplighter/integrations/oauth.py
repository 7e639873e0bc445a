"""The refresh of an OAuth 2.0 token (RFC 6749, section 6), and what each way of failing means.

    TokenError
    ├── GrantRevoked         permanent: only the user can help, by connecting again
    ├── OperatorFault        our configuration is wrong: no tenant has lost anything
    ├── ProviderDown         an outage or a rate limit: try later, as often as it takes
    ├── Ambiguous            sent, but no answer came: the refresh token may be spent
    └── BadAnswer            it said yes, but not in a form that can be used
        └── IncompleteAnswer     no access token, but perhaps a rotated refresh token that must be kept

A code that is not known counts as OperatorFault, never as GrantRevoked: a provider that invents a code, or a proxy
that answers in its place, must not disconnect every tenant.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote_plus

import httpx2
from msgspec import Struct

from lamplighter.core.errors import LamplighterError
from lamplighter.core.secret import REDACTED, Secret
from lamplighter.integrations.connections import Connections
from lamplighter.integrations.provider import ErrorKind, Provider

LARGEST_ANSWER = 64 * 1024  # bytes
LONGEST_LIFETIME = 366 * 86_400  # seconds
LONGEST_RETRY_AFTER = 3600.0  # seconds
LONGEST_QUOTE = 200  # characters of the provider's own words

CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
TOKEN_LIKE = re.compile(r"[\w.~+/=%-]{24,}")

# What an error code means at any provider; `Provider.error_codes` is asked first.
ERROR_CODES: dict[str, ErrorKind] = {
    "invalid_grant": "revoked",
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
    "operator": OperatorFault,
    "down": ProviderDown,
}


class Tokens(Struct, frozen=True, kw_only=True):
    """What a refresh gave. No `refresh_token`: keep the old one; no `scope`: as before. `warnings` are sentences."""

    access_token: Secret
    refresh_token: Secret | None
    expires_at: datetime
    scope: str | None
    token_type: str
    warnings: tuple[str, ...] = ()


class _Reply(NamedTuple):
    status: int
    retry_after: str
    body: bytes  # at most one byte more than LARGEST_ANSWER


class TokenClient:
    """Asks token endpoints for new tokens, over a client that it does not own. `timeout`: seconds for all of it."""

    def __init__(self, http: Connections | httpx2.AsyncClient, *, timeout: float = 10) -> None:
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
        started = now()
        reply = await self._post(provider, refresh_token)
        answer = _parse(reply.body)
        if not 200 <= reply.status < 300:
            raise _refusal(provider, refresh_token, reply, answer, now())
        if answer is None:
            raise BadAnswer(provider, "too_large" if len(reply.body) > LARGEST_ANSWER else "not_json")
        access_token, new_refresh_token = _secret(answer, "access_token"), _secret(answer, "refresh_token")
        if access_token is not None:
            return _tokens(provider, answer, access_token, new_refresh_token, started)
        if new_refresh_token is None and (answer.get("error") or answer.get("ok") is False):
            raise _refusal(provider, refresh_token, reply, answer, now())
        raise IncompleteAnswer(provider, new_refresh_token)

    async def _post(self, provider: Provider, refresh_token: Secret) -> _Reply:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}  # a few bytes could unzip to gigabytes
        if provider.client_auth == "basic":
            headers["Authorization"] = f"Basic {_basic(provider)}"
        else:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret.reveal()}
        try:
            async with (
                asyncio.timeout(self.timeout),
                self._http.stream(
                    "POST", provider.token_url, data=form, headers=headers, timeout=self._phases, follow_redirects=False
                ) as response,
            ):
                return _Reply(response.status_code, response.headers.get("Retry-After", ""), await _read(response))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            raise ProviderDown(provider, "not_reached") from error
        except (httpx2.TimeoutException, TimeoutError) as error:
            raise Ambiguous(provider, "timeout") from error
        except httpx2.RequestError as error:  # whatever else can happen may have happened after the sending
            raise Ambiguous(provider, "connection_lost") from error


def _basic(provider: Provider) -> str:
    """RFC 6749, 2.3.1: id and secret are form-encoded first, so that a ':' in the id does not end it."""
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret.reveal())}"
    return base64.b64encode(pair.encode()).decode()


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            break
    return bytes(body[: LARGEST_ANSWER + 1])


def _parse(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`. The standard library's reader, for it knows NaN: a bad number must not cost tokens."""
    if len(body) > LARGEST_ANSWER:
        return None
    try:
        answer = json.loads(body, parse_int=float)  # float, for int() refuses 5,000 digits
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _secret(answer: dict[str, Any], field: str) -> Secret | None:
    text = answer.get(field)
    return Secret(text) if isinstance(text, str) and text else None


def _text(answer: dict[str, Any], field: str) -> str | None:
    text = answer.get(field)
    return text if isinstance(text, str) else None


def _tokens(
    provider: Provider, answer: dict[str, Any], access_token: Secret, refresh_token: Secret | None, started: datetime
) -> Tokens:
    expires_in = answer.get("expires_in")
    lifetime = _lifetime(expires_in)
    warning = (
        f"{provider.display_name} sent an unusable expires_in, so {provider.default_lifetime} s are assumed: "
        "set its default_lifetime if its tokens live shorter."
    )
    return Tokens(
        access_token=access_token,
        refresh_token=refresh_token,
        expires_at=started + timedelta(seconds=lifetime or provider.default_lifetime),
        scope=_text(answer, "scope"),
        token_type=_text(answer, "token_type") or "Bearer",
        warnings=(warning,) if lifetime is None and expires_in is not None else (),
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


def _refusal(
    provider: Provider, refresh_token: Secret, reply: _Reply, answer: dict[str, Any] | None, now: datetime
) -> TokenError:
    secrets = (refresh_token.reveal(), provider.client_secret.reveal(), _basic(provider))
    code = _code(answer)
    kind = _kind(provider, reply.status, code)
    known = code in provider.error_codes or (CODE.fullmatch(code) and _scrub(code, secrets) == code)
    return ERRORS[kind](
        provider,
        code if known else f"http_{reply.status}",
        quote=_scrub(_description(answer), secrets),
        retry_after=_retry_after(reply.retry_after, now) if kind == "down" else None,
    )


def _kind(provider: Provider, status: int, code: str) -> ErrorKind:
    if code in provider.error_codes:
        return provider.error_codes[code]
    if status >= 500 or status in {408, 425, 429}:
        return "down"
    return ERROR_CODES.get(code, "operator")


def _code(answer: dict[str, Any] | None) -> str:
    match answer:
        case {"error": str(code)}:  # RFC 6749, Slack
            return code
        case {"error": {"errors": [{"reason": str(code)}, *_]}}:  # Google's APIs
            return code
        case {"error": {"code": str(code)} | {"status": str(code)}}:  # Microsoft Graph, newer Google
            return code
    return ""


def _description(answer: dict[str, Any] | None) -> str:
    match answer:
        case {"error_description": str(text)} | {"error": {"message": str(text)}}:
            return text
    return ""


def _scrub(text: str, secrets: Iterable[str]) -> str:
    """The provider's words without secrets, control characters or anything as long as a token, then cut."""
    for secret in secrets:
        for form in (secret, quote_plus(secret)):
            text = text.replace(form, REDACTED) if form else text
    text = TOKEN_LIKE.sub(REDACTED, text)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:LONGEST_QUOTE]


def _retry_after(header: str, now: datetime) -> timedelta | None:
    """RFC 9110, 10.2.3: seconds or a date, here between now and an hour from now."""
    try:
        seconds = float(header)
    except ValueError:
        when = _http_date(header)
        seconds = (when - now).total_seconds() if when else math.nan
    return None if math.isnan(seconds) else timedelta(seconds=min(max(seconds, 0.0), LONGEST_RETRY_AFTER))


def _http_date(header: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
