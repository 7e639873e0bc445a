"""Where a run takes place, from what `--store` says."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit

from lamplighter.core.errors import ConfigError
from lamplighter.testing.verify.places import sqlite
from lamplighter.testing.verify.places.place import AppendFsync, Place

WORDS = ("sqlite", "postgres", "redis")

__all__ = ["WORDS", "AppendFsync", "Place", "open_place"]


def open_place(store: str, folder: Path, *, appendfsync: AppendFsync = "always") -> AbstractAsyncContextManager[Place]:
    """A corner of a store: of a server that is started for the run in `folder` if `store` is one of `WORDS`, of
    yours if it is a URL.

    Raises:
        ConfigError: `store` is neither, or a store that several processes cannot share.
    """
    if store in WORDS:
        return _private(store, folder, appendfsync)
    match urlsplit(store).scheme:
        case "sqlite":
            return sqlite.beside(store)
        case "postgresql" | "postgres":
            from lamplighter.testing.verify.places import postgres  # noqa: PLC0415 - optional

            return postgres.yours(store)
        case "redis" | "rediss" | "unix" | "redis+sentinel" | "rediss+sentinel":
            from lamplighter.testing.verify.places import redis  # noqa: PLC0415 - optional

            return redis.yours(store)
        case "memory":
            raise ConfigError("memory:// is of one process, and a run needs several: name another store.")
        case "":
            raise ConfigError(f"--store {store} is neither a URL nor one of {', '.join(WORDS)}: give one of those.")
        case _:
            raise ConfigError(f"runs are on {', '.join(WORDS)}, or a URL of one of them: give one of those.")


def _private(word: str, folder: Path, appendfsync: AppendFsync) -> AbstractAsyncContextManager[Place]:
    if word == "sqlite":
        return sqlite.private(folder)
    if word == "postgres":
        from lamplighter.testing.verify.places import postgres  # noqa: PLC0415 - optional

        return postgres.private()
    from lamplighter.testing.verify.places import redis  # noqa: PLC0415 - optional

    return redis.private(appendfsync)
