"""A cloud provider: where its endpoints are, and how it wants to be treated."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret
from lamplighter.integrations.health.health import Health
from lamplighter.integrations.safe_url import MOST_CHARS, is_safe

ErrorKind = Literal["revoked", "reauth", "operator", "down"]
ClientAuth = Literal["body", "basic"]
Revocation = Literal["token", "bearer", "github"]
Method = Literal["GET", "POST"]
Drive = Literal["gdrive", "onedrive", "dropbox", "box"]

SLUG = re.compile(r"[a-z0-9-]{2,20}")
LARGEST_FILE = 256 * 1024  # bytes
MOST_SECONDS = 366 * 86_400
MOST_AT_ONCE = 10_000
BOUNDS: dict[str, int] = {
    "default_lifetime": MOST_SECONDS,
    "refresh_lifetime": MOST_SECONDS,
    "health_interval": MOST_SECONDS,
    "max_concurrency": MOST_AT_ONCE,
    "max_per_second": MOST_AT_ONCE,
}


class Call(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of a provider's API. `{}` in the URL is where a cursor or an id goes."""

    url: str
    method: Method = "GET"


class ProviderFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is publicly known about a provider. Raises ConfigError for what cannot be. Times are in seconds.

    Connecting: `issuer` is what it calls itself in its answers (RFC 9207), if it does. `revocation` says what its
    `revoke_url` takes: the token in a form (RFC 7009), the access token as bearer, or what GitHub wants.

    Tokens: `rotates`: every refresh gives a new refresh token, and spends the old one or outdates it.
    `default_lifetime` is for answers without a usable `expires_in`; `refresh_lifetime` is how long a refresh token
    lives unused. `error_codes` says what the token endpoint's own codes mean, and is asked before the standard ones.

    API: `health_url` tells whether a token works, at least once in `health_interval`; `api_codes` says what the API's
    own error codes mean for the health. `api_hosts` may be sent access tokens, besides those of the URLs here.
    `drive`: whose API for files it speaks, if any; `calls` are what an indexer asks there.
    """

    slug: str
    display_name: str
    auth_url: str
    token_url: str
    issuer: str | None = None
    scopes: tuple[str, ...] = ()
    client_auth: ClientAuth = "body"
    revoke_url: str | None = None
    revocation: Revocation = "token"
    rotates: bool = False
    default_lifetime: int = 3600
    refresh_lifetime: int | None = None
    error_codes: Mapping[str, ErrorKind] = msgspec.field(default_factory=dict)
    health_url: str | None = None
    health_method: Method = "GET"
    health_interval: int = 4 * 3600
    api_codes: Mapping[str, Health] = msgspec.field(default_factory=dict)
    api_hosts: tuple[str, ...] = ()
    drive: Drive | None = None
    calls: Mapping[str, Call] = msgspec.field(default_factory=dict)
    max_concurrency: int = 50
    max_per_second: float = 50

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise ConfigError("a provider's slug must be 2 to 20 characters of a-z, 0-9 and '-': rename the provider.")
        if not 0 < len(self.display_name) <= MOST_CHARS:
            raise ConfigError(f"provider {self.slug} needs a display_name of 1 to {MOST_CHARS} characters: change it.")
        for field in ("auth_url", "token_url", "issuer", "revoke_url", "health_url"):
            self._check_url(field, getattr(self, field))
        for name, call in self.calls.items():
            self._check_url(f"calls.{name}.url", call.url.replace("{}", ""))
        for field, most in BOUNDS.items():
            value = getattr(self, field)
            if value is not None and not 0 < value <= most:
                raise ConfigError(f"{field} of provider {self.slug} must be above 0 and at most {most}: change it.")

    @property
    def hosts(self) -> frozenset[str]:
        """Where an access token may be sent."""
        urls = [self.health_url, *(call.url for call in self.calls.values())]
        return frozenset(self.api_hosts) | {urlsplit(url).netloc for url in urls if url}

    def with_client(self, client_id: str, client_secret: Secret) -> Provider:
        """The provider as the client that the operator registered there."""
        return Provider(**msgspec.structs.asdict(self), client_id=client_id, client_secret=client_secret)

    def _check_url(self, field: str, url: str | None) -> None:
        if url is not None and not is_safe(url):  # not shown: the userinfo refused here would be a secret
            raise ConfigError(
                f"{field} of provider {self.slug} must be an https:// URL without user name, password or fragment "
                "(http:// is for loopback only): correct it."
            )


class Provider(ProviderFacts, frozen=True, kw_only=True):
    """A provider that this service is a registered client of."""

    client_id: str
    client_secret: Secret


def load_facts(operator_file: Path | None = None) -> dict[str, ProviderFacts]:
    """The built-in facts by slug; the operator's TOML file adds providers and overrides fields. Raises ConfigError."""
    tables = tomllib.loads(resources.files(__package__).joinpath("providers.toml").read_text("utf-8"))
    if operator_file is not None:
        for slug, table in _read(operator_file).items():
            tables[slug] = tables.get(slug, {}) | table
    return {slug: _facts(slug, table) for slug, table in tables.items()}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return msgspec.convert(tomllib.loads(bounded(path)), dict[str, dict[str, Any]])
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not TOML, not UTF-8, not tables
        raise ConfigError(f"cannot read the provider file {path} ({error}): write one [slug] table each.") from error


def bounded(path: Path) -> str:
    """The text of a file that an operator wrote. Raises OSError, or ValueError if it is too large or no UTF-8."""
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE} bytes")
    return data.decode()


def _facts(slug: str, table: dict[str, Any]) -> ProviderFacts:
    try:
        return msgspec.convert({**table, "slug": slug}, ProviderFacts)
    except msgspec.ValidationError as error:
        raise ConfigError(f"provider {slug!r} is described wrongly ({error}): correct its table.") from error
