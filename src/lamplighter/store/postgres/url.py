"""What a `postgresql:` URL says."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from lamplighter.core.errors import ConfigError

SCHEMES = ("postgresql", "postgres")
FORM = "write postgresql://user:password@host:5432/database"
LONGEST_PATIENCE = 3600  # seconds
MOST_CONNECTIONS = 1000
POOLERS = ("none", "transaction")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,47}")  # so that no statement has to quote it, and a channel can carry its name
_OURS = ("schema", "patience", "connections", "pooler")
_OF_THE_DRIVER = (
    *("host", "port", "user", "password", "database", "dbname", "passfile", "service", "servicefile"),
    *("sslmode", "sslnegotiation", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
)


class Place(NamedTuple):
    """A database and how to use it; `PostgresStore` says what the options mean. `dsn` is what the driver is given."""

    dsn: str
    shown: str
    schema: str = "lamplighter"
    patience: float = 10
    connections: int = 10
    pooler: str = "none"

    @property
    def lock_timeout(self) -> int:
        """Milliseconds. The server gives up before we do: it can say why, and its connection stays good."""
        return max(1, int(self.patience * 800))

    @property
    def statement_timeout(self) -> int:
        """Milliseconds."""
        return max(2, int(self.patience * 900))

    def __repr__(self) -> str:
        """Without the password, for tracebacks that show values."""
        return f"Place({self.shown})"


def parse(url: str) -> Place:
    """Read `postgresql://user:password@host:port/database`, with options of ours and those of the driver.

    Raises:
        ConfigError: the URL cannot be read, or has an option that there is not.
    """
    parts = _split(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _refuse_unknown(options)
    theirs = {name: value for name, value in options.items() if name not in _OURS}
    return Place(
        dsn=_join(parts.netloc, parts.path, urlencode(theirs)),
        shown=_without_password(parts, options),
        schema=_schema(options.get("schema", "lamplighter")),
        patience=_number(options, "patience", 10, LONGEST_PATIENCE, least=0.01),
        connections=_whole(options, "connections", 10, MOST_CONNECTIONS),
        pooler=_pooler(options.get("pooler", "none")),
    )


def _split(url: str) -> SplitResult:
    if "#" in url:
        raise ConfigError("the store URL has a # in it: write %23 for one in a password or a name.")
    try:
        parts = urlsplit(url)
        _ = parts.port if "," not in parts.netloc else None  # several hosts are the driver's to read
    except ValueError:
        raise ConfigError(f"the store URL cannot be read: {FORM}.") from None
    if "@" in parts.path + parts.query and "@" not in parts.netloc:  # the password would pass for something to be shown
        raise ConfigError("the store URL has an @ behind a / or ?: write %40, %2F or %3F in names and passwords.")
    return parts


def _join(netloc: str, path: str, options: str) -> str:
    """As `urlunsplit` does not: with its slashes when there is no host, for a socket is in the options."""
    return f"postgresql://{netloc}{path}{options and f'?{options}'}"


def _without_password(parts: SplitResult, options: dict[str, str]) -> str:
    user, at, hosts = parts.netloc.rpartition("@")
    netloc = f"{user.partition(':')[0]}{at}{hosts}"
    shown = {name: value for name, value in options.items() if name not in {"password", "sslpassword"}}
    return _join(netloc, parts.path, urlencode(shown, quote_via=quote, safe="/"))


def _refuse_unknown(options: dict[str, str]) -> None:
    known = (*_OURS, *_OF_THE_DRIVER)
    for name in options.keys() - set(known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"ours are {', '.join(_OURS)}."
        raise ConfigError(f"the store URL has an unknown option {name!r}: {hint}")


def _schema(text: str) -> str:
    if not _SCHEMA.fullmatch(text) or text.startswith("pg_"):
        raise ConfigError(
            "schema in the store URL is no name that PostgreSQL takes without quotes: give 1 to 48 of a-z, 0-9 and _."
        )
    return text


def _number(options: dict[str, str], name: str, default: float, most: float, *, least: float = 0) -> float:
    try:
        number = float(options.get(name, default))
    except ValueError:
        number = least - 1
    if not least <= number <= most:  # false for nan too
        raise ConfigError(f"{name}={options[name]} in the store URL is not a number from {least:g} to {most:g}.")
    return number


def _whole(options: dict[str, str], name: str, default: int, most: int) -> int:
    text = options.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        raise ConfigError(f"{name}={text} in the store URL is not a whole number from 1 to {most}.")
    return int(text)


def _pooler(text: str) -> str:
    if text.lower() not in POOLERS:
        raise ConfigError(f"pooler={text} in the store URL is not one of {', '.join(POOLERS)}.")
    return text.lower()
