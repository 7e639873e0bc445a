"""Runs on Redis: always under a prefix of their own, whose keys are deleted after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

from lamplighter.core.secret import redact_url
from lamplighter.store.redis.url import parse
from lamplighter.testing.servers import private_redis
from lamplighter.testing.verify.places.link import between
from lamplighter.testing.verify.places.place import Place, new_name, with_options

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
        reason = await _unreachable(url)
        if urlsplit(url).scheme == "redis" and not reason:
            stack.push_async_callback(_delete, url, prefix)
        link = None if reason else await stack.enter_async_context(between(*_address(url)))
        yield Place(
            kind="redis",
            url=link.url_for(direct) if link else direct,
            direct=direct,
            says=f"under the new prefix {prefix} of {redact_url(url)}, whose keys are deleted after",
            link=link,
            unreachable=reason,
            patience=parse(url).patience,
        )


@asynccontextmanager
async def private(appendfsync: Literal["always", "everysec"]) -> AsyncIterator[Place]:
    """On a server that is started for the run."""
    async with AsyncExitStack() as stack:
        starting = private_redis(appendfsync=appendfsync, settings={"maxclients": str(MOST_CLIENTS)})
        server = await stack.enter_async_context(started(starting))
        link = await stack.enter_async_context(between("127.0.0.1", server.port))
        direct = with_options(server.url, {"prefix": new_name()})
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
            hold_connections=lambda seconds: _hold_connections(server, link, seconds),
        )
