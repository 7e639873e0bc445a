"""A webhook's receiver that counts of which integration it was told how often."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec


class _Notice(msgspec.Struct):
    integration_id: str


class _Data(msgspec.Struct):
    notices: list[_Notice]


class _Call(msgspec.Struct):
    type: str
    data: _Data


class Postbox:
    """What it was told of grants that were revoked."""

    def __init__(self) -> None:
        self.url = ""
        self.told: Counter[str] = Counter()  # by integration
        self._came = asyncio.Event()

    async def until(self, count: int, within: float) -> None:
        """Wait until it was told of so many, but for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while len(self.told) < count:
                    self._came.clear()
                    await self._came.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call a connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            call = msgspec.json.decode(await reader.readexactly(length), type=_Call)
            if call.type == "integration.revoked":
                self.told.update(notice.integration_id for notice in call.data.notices)
                self._came.set()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that hung up
        finally:
            writer.close()


@asynccontextmanager
async def open_postbox() -> AsyncIterator[Postbox]:
    """One on a free port of this machine."""
    postbox = Postbox()
    async with await asyncio.start_server(postbox.serve, "127.0.0.1", 0) as server:
        postbox.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/lamplighter"
        yield postbox
