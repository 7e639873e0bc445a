"""A prefix as a whole: whether anything is under it, and its end."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lamplighter.store.redis.link import Link
from lamplighter.store.redis.scripts import script
from lamplighter.store.redis.url import parse

AT_ONCE = 1000  # keys that the server looks at before it serves others


async def is_fresh(url: str) -> bool:
    """Whether nothing is under the prefix of that URL. Raises StoreUnavailable."""
    async for keys in _found(url, delete=False):
        if keys:
            return False
    return True


async def forget(url: str) -> None:
    """Delete everything under the prefix of that URL, whoever's it is. Raises StoreUnavailable."""
    async for _ in _found(url, delete=True):
        pass


async def _found(url: str, *, delete: bool) -> AsyncIterator[list[bytes]]:
    place = parse(url)
    link = Link(place)
    try:
        await link.run(script("schema"), again=True)  # in a cluster it leads to the one node that has our keys
        cursor = b"0"
        while True:
            cursor, keys = await link.ask("SCAN", cursor, "MATCH", _pattern(place.prefix), "COUNT", AT_ONCE)
            if keys and delete:
                await link.ask("UNLINK", *keys)
            yield keys
            if cursor == b"0":
                return
    finally:
        await link.close()


def _pattern(prefix: str) -> str:
    """All keys that begin with {prefix}, whatever it has in it."""
    return "{" + "".join(f"\\{letter}" if letter in "*?[]^-\\" else letter for letter in prefix) + "}*"
