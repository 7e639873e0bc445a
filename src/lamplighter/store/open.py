"""From a URL to a store."""

from __future__ import annotations

import difflib
from pathlib import Path
from urllib.parse import urlsplit

from lamplighter.core.errors import ConfigError
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.store.migrate import Schema

SCHEMES = ("memory", "sqlite", "postgresql", "redis", "rediss", "unix")
FORMS = "use memory://, sqlite:///path/to/file.db, postgresql://host/database or redis://host:6379/0"


def open_store(url: str) -> Store:
    """The store that a URL names, not opened yet: `sqlite:///relative.db`, `postgresql://host/database`, `redis://host`.

    Raises:
        ConfigError: the URL names no store that there is, or one whose extra is not installed.
    """
    match _kind(url):
        case "memory":
            return _memory(url)
        case "sqlite":
            return _sqlite(url)
        case "postgresql":
            return _postgres(url)
        case _:
            return _redis(url)


def schema_of(url: str) -> Schema | None:
    """The schema of the store that a URL names, for `lamplighter migrate`; None where there is nothing to migrate.

    Raises:
        ConfigError: the URL names no store that there is.
    """
    open_store(url)  # says what is wrong with a URL; nothing is opened yet
    match _kind(url):
        case "sqlite":
            from lamplighter.store.sqlite.schema import SqliteSchema  # noqa: PLC0415 - as below

            return SqliteSchema.from_url(url)
        case "postgresql":
            from lamplighter.store.postgres.schema import PostgresSchema  # noqa: PLC0415 - as below

            return PostgresSchema.from_url(url)
        case "redis":
            from lamplighter.store.redis.schema import RedisSchema  # noqa: PLC0415 - as below

            return RedisSchema.from_url(url)
        case _:
            return None


def folder_of(url: str) -> Path | None:
    """The folder that a store's file is in; None for one that is no file."""
    if _scheme(url) != "sqlite":
        return None
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415 - only what is used

    return parse(url).path.absolute().parent


def _kind(url: str) -> str:
    """Its scheme, without variants."""
    scheme = _scheme(url)
    match scheme:
        case "postgres":
            return "postgresql"
        case "rediss" | "unix" | "redis+sentinel" | "rediss+sentinel":
            return "redis"
        case "memory" | "sqlite" | "postgresql" | "redis":
            return scheme
    near = difflib.get_close_matches(scheme.partition("+")[0], SCHEMES, n=1)
    hint = f" (did you mean {near[0]}://?)" if near else ""
    raise ConfigError(f"the store URL {scheme}:// has no store behind it{hint}: {FORMS}.")


def _scheme(url: str) -> str:
    """No more of the URL is shown to anyone, for it may hold a password."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise ConfigError(f"the store URL cannot be read: {FORMS}.") from error
    if not scheme:
        raise ConfigError(f"the store URL has no scheme: {FORMS}.")
    return scheme


def _memory(url: str) -> Store:
    if url.partition(":")[2] not in {"", "//"}:
        raise ConfigError("memory:// takes nothing more: leave off what follows it.")
    return MemoryStore()


def _sqlite(url: str) -> Store:
    from lamplighter.store.sqlite import SqliteStore  # noqa: PLC0415 - tests on memory need no database

    return SqliteStore.from_url(url)


def _postgres(url: str) -> Store:
    try:
        from lamplighter.store.postgres import PostgresStore  # noqa: PLC0415 - optional
    except ImportError as error:
        raise _lacks("postgres", error) from error
    return PostgresStore.from_url(url)


def _redis(url: str) -> Store:
    try:
        from lamplighter.store.redis import RedisStore  # noqa: PLC0415 - optional
    except ImportError as error:
        raise _lacks("redis", error) from error
    return RedisStore(url)


def _lacks(extra: str, error: ImportError) -> ConfigError:
    return ConfigError(f"this store needs {error.name}, which is not installed: pip install 'lamplighter[{extra}]'.")
