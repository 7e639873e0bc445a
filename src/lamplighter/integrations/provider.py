"""A cloud provider: where its endpoints are, and how it wants to be treated."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret

ErrorKind = Literal["revoked", "operator", "down"]
ClientAuth = Literal["body", "basic"]

SLUG = re.compile(r"[a-z0-9-]{2,20}")
MOST_CHARS = 2000  # of a URL or a name
LARGEST_FILE = 256 * 1024  # bytes
MOST_SECONDS = 366 * 86_400
MOST_AT_ONCE = 10_000


class ProviderFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is publicly known about a provider. Raises ConfigError for what cannot be.

    `default_lifetime` is in seconds, for answers without a usable `expires_in`. `rotates`: every refresh gives a new
    refresh token. `error_codes` says what the provider's own codes mean, and is asked before the standard ones.
    """

    slug: str
    display_name: str
    auth_url: str
    token_url: str
    revoke_url: str | None = None
    health_url: str | None = None
    scopes: tuple[str, ...] = ()
    client_auth: ClientAuth = "body"
    rotates: bool = False
    default_lifetime: int = 3600
    max_concurrency: int = 50
    max_per_second: float = 50
    error_codes: Mapping[str, ErrorKind] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not SLUG.fullmatch(self.slug):
            raise ConfigError("a provider's slug must be 2 to 20 characters of a-z, 0-9 and '-': rename the provider.")
        if not 0 < len(self.display_name) <= MOST_CHARS:
            raise ConfigError(f"provider {self.slug} needs a display_name of 1 to {MOST_CHARS} characters: change it.")
        for field in ("auth_url", "token_url", "revoke_url", "health_url"):
            self._check_url(field)
        for field, most in (
            ("default_lifetime", MOST_SECONDS),
            ("max_concurrency", MOST_AT_ONCE),
            ("max_per_second", MOST_AT_ONCE),
        ):
            if not 0 < getattr(self, field) <= most:
                raise ConfigError(f"{field} of provider {self.slug} must be above 0 and at most {most}: change it.")

    def with_client(self, client_id: str, client_secret: Secret) -> Provider:
        """The provider as the client that the operator registered there."""
        return Provider(**msgspec.structs.asdict(self), client_id=client_id, client_secret=client_secret)

    def _check_url(self, field: str) -> None:
        url = getattr(self, field)
        if url is not None and not is_safe_url(url):  # not shown: the userinfo refused here would be a secret
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


def is_safe_url(url: str) -> bool:
    """Whether it is https:// (http:// for loopback only), and holds no user name, password or fragment."""
    if len(url) > MOST_CHARS or not url.isprintable() or " " in url:  # urlsplit would drop a newline in silence
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
