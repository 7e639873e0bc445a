"""What a `redis:` URL says."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import Secret

PORT, SENTINEL_PORT = 6379, 26379
LONGEST_PATIENCE = 3600  # seconds
SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
FORM = "write redis://user:password@host:6379/0, unix:///path/of.sock or redis+sentinel://host:26379/0?master=NAME"

Address = tuple[str, int] | str  # host and port, or the path of a socket


class Tls(NamedTuple):
    """How to trust a server, and how to show who we are."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: Literal["full", "ca", "none"] = "full"


class Place(NamedTuple):
    """Servers and how to use them; `RedisStore` says what the options mean."""

    addresses: tuple[Address, ...]
    username: str | None = None
    password: Secret | None = None
    db: int = 0
    tls: Tls | None = None
    master: str | None = None  # then the addresses are those of Sentinels
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None
    prefix: str = "lamplighter"
    patience: float = 10


def parse(url: str) -> Place:
    """Read `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `rediss+sentinel://`, and their options.

    Raises:
        ConfigError: the URL names no server, or an option that there is not.
    """
    parts = _split(url)
    kind = parts.scheme.removesuffix("+sentinel")
    options = _options(parts, tls=kind == "rediss", sentinel=parts.scheme.endswith("+sentinel"), unix=kind == "unix")
    if parts.scheme.endswith("+sentinel") and not options.get("master"):
        raise ConfigError("the store URL names no master for Sentinel: add ?master=NAME, as the Sentinels call it.")
    tls = Tls(**{name: options.pop(name) for name in Tls._fields if name in options}) if kind == "rediss" else None
    userinfo, _, hosts = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    place = Place(
        _addresses(parts, hosts),
        username=unquote(username) or None,
        password=Secret(unquote(password)) if password else None,
        tls=tls,
        db=options.pop("db") if "db" in options else _database(parts.path if kind != "unix" else ""),
    )
    return place._replace(**options)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"the store URL cannot be read: {FORM}.") from error
    if parts.fragment:
        raise ConfigError("the store URL has a # in it: write %23 if a password or a path has it.")
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"the store URL is none of Redis: {FORM}.")
    return parts


def _addresses(parts: SplitResult, hosts: str) -> tuple[Address, ...]:
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if hosts or not path.strip("/"):
            raise ConfigError("the store URL names no socket: write unix:///path/of.sock, with three slashes.")
        return (path,)
    port = SENTINEL_PORT if parts.scheme.endswith("+sentinel") else PORT
    return tuple(_address(host, port) for host in (hosts or "localhost").split(","))


def _address(text: str, port: int) -> Address:
    host, colon, digits = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, digits = text, str(port)
    if host.count(":") and not host.startswith("["):
        raise ConfigError("the store URL has an IPv6 address without brackets: write redis://[::1]:6379/0.")
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65536):
        raise ConfigError(f"the store URL has a port that is not a number from 1 to 65535: {FORM}.")
    return unquote(host.strip("[]")) or "localhost", int(digits)


def _database(path: str) -> int:
    text = path.strip("/")
    return _db(text) if text else 0


def _options(parts: SplitResult, *, tls: bool, sentinel: bool, unix: bool) -> dict[str, Any]:
    known = {**_COMMON, **(_TLS if tls else {}), **(_SENTINEL if sentinel else {}), **(_UNIX if unix else {})}
    options: dict[str, Any] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
            raise ConfigError(f"the store URL has an unknown option {name!r}: {hint}")
        options[name] = known[name](text)
    return options


def _prefix(text: str) -> str:
    if not text or "{" in text or "}" in text:
        raise ConfigError(f"prefix={text} in the store URL is not a name without braces: all keys begin with {{name}}.")
    return text


def _patience(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds <= LONGEST_PATIENCE:  # false for nan too
        raise ConfigError(f"patience={text} in the store URL is not a number of seconds up to {LONGEST_PATIENCE}.")
    return seconds


def _db(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"the database of the store URL is not a number: {FORM}.")
    return int(text)


def _verify(text: str) -> str:
    if text not in {"full", "ca", "none"}:
        raise ConfigError(f"verify={text} in the store URL is not one of full, ca (any host name) and none.")
    return text


_COMMON: dict[str, Callable[[str], object]] = {"prefix": _prefix, "patience": _patience}
_TLS: dict[str, Callable[[str], object]] = {"ca": str, "cert": str, "key": str, "verify": _verify}
_SENTINEL: dict[str, Callable[[str], object]] = {
    "master": str,
    "sentinel_username": str,
    "sentinel_password": Secret,
}
_UNIX: dict[str, Callable[[str], object]] = {"db": _db}
