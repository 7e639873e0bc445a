"""Runs on SQLite: always in a new file, which is removed after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from lamplighter.core.errors import ConfigError
from lamplighter.store.sqlite import connect
from lamplighter.store.sqlite.url import parse, show
from lamplighter.testing.verify.places.place import Place, new_name


@asynccontextmanager
async def beside(url: str) -> AsyncIterator[Place]:
    """In a new file beside the one that a URL names, on the same disk, with the same options."""
    named = parse(url).path.absolute()
    if not named.parent.is_dir():
        raise ConfigError(f"the folder {named.parent} does not exist: create it, or correct the store URL.")
    async with _in_file(named.with_name(f"{new_name()}.db"), urlsplit(url).query) as place:
        yield place


@asynccontextmanager
async def private(folder: Path) -> AsyncIterator[Place]:
    """In a file in a folder of the run's own."""
    async with _in_file(folder / f"{new_name()}.db", "") as place:
        yield place


@asynccontextmanager
async def _in_file(path: Path, query: str) -> AsyncIterator[Place]:
    url = f"{show(path)}?{query}" if query else show(path)
    try:
        yield Place(
            kind="sqlite",
            url=url,
            direct=url,
            says=f"in the new file {path}, which is removed after",
            file=path,
            is_held_by_one=True,
            transactions=True,
            leftovers=lambda: asyncio.to_thread(_damages, path),
        )
    finally:
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)


def _damages(path: Path) -> list[str]:
    """What SQLite itself finds wrong with the file, and keys whose job is gone."""
    connection = connect(path)
    try:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check") if text != "ok"]
        orphans = connection.execute(
            "SELECT key, job FROM lamp_keys WHERE until IS NULL AND job NOT IN (SELECT id FROM lamp_jobs)"
        )
        return [f"SQLite says: {text}" for text in found] + [
            f"the key {key!r} is held by {job}, which has ended" for key, job in orphans
        ]
    finally:
        connection.close()
