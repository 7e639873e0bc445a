"""Provider facts from the provider itself: OpenID Connect Discovery 1.0, or else RFC 8414."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx2

from lamplighter.core.errors import ConfigError
from lamplighter.integrations.answer import HEADERS, ask
from lamplighter.integrations.http_pool import Http
from lamplighter.integrations.provider import ClientAuth, ProviderFacts
from lamplighter.integrations.safe_url import is_safe

TIMEOUT = 10.0  # seconds
USEFUL_SCOPES = ("openid", "offline_access")
AUTH_METHODS: dict[str, ClientAuth] = {"client_secret_basic": "basic", "client_secret_post": "body"}


async def discover(http: Http, issuer: str, *, slug: str, display_name: str | None = None) -> ProviderFacts:
    """What a provider says of itself. What it does not say (lifetimes, limits, its API) has its usual value.

    Raises ConfigError: it cannot be asked, says that it is somebody else, or cannot do what we need.
    """
    told = await describe(http, issuer)
    scopes = tuple(scope for scope in USEFUL_SCOPES if scope in told.get("scopes_supported", ()))
    return ProviderFacts(
        slug=slug,
        display_name=display_name or urlsplit(issuer).netloc,
        issuer=issuer,
        auth_url=_asking_for_consent(url_of(told, "authorization_endpoint", issuer), scopes),
        token_url=url_of(told, "token_endpoint", issuer),
        revoke_url=told.get("revocation_endpoint"),
        health_url=told.get("userinfo_endpoint"),
        scopes=scopes,
        client_auth=client_auth_of(told, issuer),
        rotates=True,  # to be on the safe side
    )


async def describe(http: Http, issuer: str) -> dict[str, Any]:
    """All that an issuer says of itself, and that it can do PKCE if it says whether it can.

    Raises ConfigError: it cannot be asked, or says that it is somebody else.
    """
    if not is_safe(issuer):
        raise ConfigError("the issuer must be an https:// URL without user name, password or fragment: correct it.")
    told = await _told(http, issuer)
    if told.get("issuer") != issuer:  # RFC 8414, 3.3: or one provider could stand in for another
        raise ConfigError(f"{issuer} calls itself by another name: give the issuer exactly as the provider writes it.")
    _refuse_without_pkce(told, issuer)
    return told


def url_of(told: dict[str, Any], field: str, issuer: str) -> str:
    """An endpoint that it has to have. Raises ConfigError: it names none."""
    url = told.get(field)
    if not isinstance(url, str):
        raise ConfigError(f"{issuer} names no {field}: write its URLs into a provider file instead.")
    return url


def client_auth_of(told: dict[str, Any], issuer: str) -> ClientAuth:
    """How it wants a client to prove itself. Raises ConfigError: in no way that we know."""
    for method in told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
        if method in AUTH_METHODS:
            return AUTH_METHODS[method]
    raise ConfigError(f"{issuer} takes no client secret: register a client there that has one.")


async def _told(http: Http, issuer: str) -> dict[str, Any]:
    for url in _places(issuer):
        try:
            answer = await ask(http, "GET", url, headers=HEADERS, within=TIMEOUT)
        except (httpx2.RequestError, TimeoutError) as error:
            raise ConfigError(f"{issuer} cannot be reached: check the issuer's URL, and that it is up.") from error
        if answer.status == httpx2.codes.OK and answer.body is not None:
            return answer.body
    raise ConfigError(f"{issuer} does not describe itself: write its URLs into a provider file instead.")


def _places(issuer: str) -> tuple[str, str]:
    """OpenID appends to the issuer's path, RFC 8414 (3.1) puts its own before it."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
    )


def _asking_for_consent(auth_url: str, scopes: tuple[str, ...]) -> str:
    """OpenID Connect Core 1.0, 11: without that prompt, offline_access is left out in silence."""
    if "offline_access" not in scopes:
        return auth_url
    return f"{auth_url}{'&' if urlsplit(auth_url).query else '?'}prompt=consent"


def _refuse_without_pkce(told: dict[str, Any], issuer: str) -> None:
    methods = told.get("code_challenge_methods_supported")
    if methods is not None and "S256" not in methods:
        raise ConfigError(f"{issuer} cannot do PKCE with S256, without which a code can be stolen: it is not used.")
