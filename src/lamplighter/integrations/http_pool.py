"""HTTP connections to providers: as many as there are requests under way, each found at once.

A client with a pool looks through all of its connections twice for each request, and asks the system about every idle
one; with a hundred of them that costs more than the request. So each client here has one connection, and whoever asks
gets the one that came back last.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

import httpx2

from lamplighter.integrations.trust import trust

KEPT = 5.0  # seconds that a connection stays open unused: servers close theirs soon after
ONE = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT)


class _Idle(NamedTuple):
    client: httpx2.AsyncClient
    since: float


class HttpPool:
    """To be opened with `async with`, and used in one event loop."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, deque[_Idle]] = defaultdict(deque)  # by host, the longest unused first

    @asynccontextmanager
    async def stream(self, method: str, url: str, **how: Any) -> AsyncIterator[httpx2.Response]:
        """As `httpx2.AsyncClient.stream`; how many are under way at once is left to the caller."""
        idle = self._idle[urlsplit(url).netloc]
        client = idle.pop().client if idle else httpx2.AsyncClient(verify=trust(), limits=ONE)
        try:
            async with client.stream(method, url, **how) as response:
                yield response
        finally:
            idle.append(_Idle(client, time.monotonic()))
            await _close_old(idle)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as stack:
            for idle in self._idle.values():
                for one in idle:
                    stack.push_async_callback(one.client.aclose)
        self._idle.clear()


Http: TypeAlias = HttpPool | httpx2.AsyncClient
"""What requests can be streamed over."""


async def _close_old(idle: deque[_Idle]) -> None:
    while idle and idle[0].since + KEPT < time.monotonic():
        await idle.popleft().client.aclose()
