"""Where the demo is played: its tenants must not get among somebody's own, nor its worker among somebody's jobs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from lamplighter.core.config import load
from lamplighter.core.errors import ConfigError
from lamplighter.core.secret import redact_url
from lamplighter.store.open import open_store

IsFresh = Callable[[str], Awaitable[bool]]
Forget = Callable[[str], Awaitable[None]]


class Stage(NamedTuple):
    """Settings for the demo: its store, where its tables are if not there, and a folder if it is thrown away."""

    store: str
    database: str | None = None
    folder: Path | None = None


@asynccontextmanager
async def stage(url: str | None, folder: Path) -> AsyncIterator[Stage]:
    """A stage on the store of that URL, or in a temporary folder that the caller removes.

    What the URL names (a file, a schema, a prefix) must be new, and stays. A schema or a prefix that it does not name
    is made up, and thrown away in the end.

    Raises:
        ConfigError: it is no store, or what it names is there already.
    """
    if url is None:
        yield Stage(f"sqlite:///{folder}/demo.db")
        return
    url = load(flags={"store": url}).settings.store
    open_store(url)  # says what is wrong with a URL; nothing is opened yet
    tables = f"sqlite:///{folder}/demo.db"  # where the store has none: there is an outbox in between
    match urlsplit(url).scheme:
        case "sqlite":
            yield Stage(_new_file(url))
        case "memory":
            yield Stage(url, tables)
        case "postgresql" | "postgres":
            from lamplighter.store.postgres.forget import forget, is_fresh  # noqa: PLC0415 - its driver is optional

            async with _fresh(url, "schema", is_fresh, forget) as (store, is_kept):
                yield Stage(store, folder=None if is_kept else folder)
        case _:
            from lamplighter.store.redis.forget import forget, is_fresh  # noqa: PLC0415 - its driver is optional

            async with _fresh(url, "prefix", is_fresh, forget) as (store, _):
                yield Stage(store, tables)


def _new_file(url: str) -> str:
    from lamplighter.store.sqlite.url import parse  # noqa: PLC0415 - `--help` need not wait for it

    if parse(url).path.exists():
        raise ConfigError(f"{parse(url).path} is there already: name a new file, or leave --store out.")
    return url


@asynccontextmanager
async def _fresh(url: str, option: str, is_fresh: IsFresh, forget: Forget) -> AsyncIterator[tuple[str, bool]]:
    """The URL of something new there, and whether it is to be kept."""
    named = parse_qs(urlsplit(url).query).get(option)
    if named:
        if not await is_fresh(url):
            raise ConfigError(
                f"the {option} {named[-1]} at {redact_url(url)} is in use already: name a new one, or leave "
                f"{option}= out."
            )
        yield url, True
        return
    made_up = f"{url}{'&' if '?' in url else '?'}{option}=lamplighter_demo_{secrets.token_hex(4)}"
    try:
        yield made_up, False
    finally:
        await forget(made_up)
