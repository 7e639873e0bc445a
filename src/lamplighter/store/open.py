"""From a URL to a store."""

from __future__ import annotations

import difflib
from urllib.parse import urlsplit

from lamplighter.core.errors import ConfigError
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore

SCHEMES = ("memory", "sqlite")


def open_store(url: str) -> Store:
    """The store that a URL names, not opened yet: `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db`.

    Raises:
        ConfigError: the URL names no store that there is.
    """
    scheme = urlsplit(url).scheme
    if scheme == "memory":
        return MemoryStore()
    if scheme == "sqlite":
        from lamplighter.store.sqlite import SqliteStore  # noqa: PLC0415 - tests on memory need no database

        return SqliteStore.from_url(url)
    near = difflib.get_close_matches(scheme, SCHEMES, n=1)
    hint = f" (did you mean {near[0]}://?)" if near else ""
    raise ConfigError(
        f"the store URL {scheme or url!r}:// has no store behind it{hint}: use memory:// or sqlite:///path/to/file.db."
    )
