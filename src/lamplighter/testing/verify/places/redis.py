"""Runs on Redis: always under a prefix of their own, whose keys are deleted after."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

from lamplighter.core.errors import StoreError
from lamplighter.core.secret import redact_url
from lamplighter.store.redis.link import Link
from lamplighter.store.redis.url import parse
from lamplighter.testing.proxy import FaultyProxy
from lamplighter.testing.servers import RedisServer, private_redis
from lamplighter.testing.verify.places.place import AppendFsync, Place, between, new_name, started, with_options

MOST_CLIENTS = 100  # of a private server: few enough to be taken at once
PATIENCE = 2  # seconds, of workers on a private server
AGAIN = 0.02  # seconds between tries to take a connection that came free
SCANNED = 1000  # keys in one look
LAST_SECOND = 2.0  # seconds: with everysec Redis flushes each second, and may be one more behind while the disk is slow


@asynccontextmanager
async def yours(url: str) -> AsyncIterator[Place]:
    """Under a new prefix of the server that a URL names, through a proxy where that can be."""
    prefix = new_name()
    direct = with_options(url, {"prefix": prefix})
    async with AsyncExitStack() as stack:
        reason = await _unreachable(direct)
        stack.push_async_callback(_delete, direct, prefix)
        link = None if reason else await stack.enter_async_context(between(*_address(url)))
        yield Place(
            kind="redis",
            url=link.url_for(direct) if link else direct,
            direct=direct,
            says=f"under the new prefix {prefix} of {redact_url(url)}, whose keys are deleted after",
            link=link,
            unreachable=reason,
            patience=parse(url).patience,
            leftovers=lambda: _leftovers(direct, prefix),
        )


@asynccontextmanager
async def private(appendfsync: AppendFsync) -> AsyncIterator[Place]:
    """On a server that is started for the run."""
    prefix = new_name()
    async with AsyncExitStack() as stack:
        starting = private_redis(appendfsync=appendfsync, settings={"maxclients": str(MOST_CLIENTS)})
        server = await stack.enter_async_context(started(starting))
        link = await stack.enter_async_context(between("127.0.0.1", server.port))
        direct = with_options(server.url, {"prefix": prefix})
        may_lose = "" if appendfsync == "always" else ", and may lose its last second when it is killed"
        yield Place(
            kind="redis",
            url=with_options(link.url_for(direct), {"patience": str(PATIENCE)}),
            direct=direct,
            says=f"on a Redis server (appendfsync {appendfsync}) that is started for this and removed after{may_lose}",
            server=server,
            crash=server.kill,
            link=link,
            patience=PATIENCE,
            loses=0.0 if appendfsync == "always" else LAST_SECOND,
            leftovers=lambda: _leftovers(direct, prefix),
            hold_connections=lambda seconds: _hold_connections(server, link, seconds),
        )


def _address(url: str) -> tuple[str, int]:
    [address] = parse(url).addresses
    assert not isinstance(address, str)
    return address


async def _unreachable(url: str) -> str:
    """Why no proxy can stand between.

    Raises:
        StoreUnavailable: the server cannot be reached at all.
    """
    place = parse(url)
    if urlsplit(url).scheme != "redis":
        return "a proxy stands in for redis:// alone, with one server and without TLS"
    if len(place.addresses) != 1:
        return "the URL names several servers, and a proxy stands in for one"
    async with _linked(url) as link:
        if b"cluster_enabled:1" in bytes(await link.ask("INFO", "cluster")):
            return "nodes of a cluster name each other, and so lead past any proxy"
    return ""


async def _delete(url: str, prefix: str) -> None:
    with suppress(StoreError):  # a server that is gone has nothing to be deleted
        async with _linked(url) as link:
            cursor: bytes = b"0"
            while True:
                cursor, keys = await link.ask("SCAN", cursor, "MATCH", f"{{{prefix}}}*", "COUNT", SCANNED)
                if keys:
                    await link.ask("UNLINK", *keys)
                if cursor == b"0":
                    return


async def _leftovers(url: str, prefix: str) -> list[str]:
    """Unique keys without a period: no job is left that could hold one."""
    async with _linked(url) as link:
        held = int(await link.ask("HLEN", f"{{{prefix}}}:unique"))
        for_a_time = int(await link.ask("ZCARD", f"{{{prefix}}}:periods"))
    return [] if held == for_a_time else [f"{held - for_a_time} unique keys are held, and no job is left to hold them"]


async def _hold_connections(server: RedisServer, link: FaultyProxy, seconds: float) -> None:
    """Take every connection there is, also those that come free when all others break."""
    over = time.monotonic() + seconds
    held: list[asyncio.StreamWriter] = []
    await asyncio.to_thread(link.cut)
    try:
        while time.monotonic() < over:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            held.append(writer)
            writer.write(b"PING\r\n")
            if not (await reader.readline()).startswith(b"+"):
                await asyncio.sleep(AGAIN)
    finally:
        for writer in held:
            writer.close()


@asynccontextmanager
async def _linked(url: str) -> AsyncIterator[Link]:
    link = Link(parse(url))
    try:
        yield link
    finally:
        await link.close()
