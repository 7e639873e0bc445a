"""An HTTP client that does no more than it must: a whole one takes as much of the machine as the server does."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

PATIENCE = 30  # seconds


class Http:
    """Asks a server on this machine; as many connections as there are requests under way, kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, address: str) -> int:
        """The status of the answer, once all of it is there."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))  # no length: this client cannot read it, and says so
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, writer in self._idle:
            writer.close()
