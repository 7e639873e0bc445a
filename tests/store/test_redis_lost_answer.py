"""A Redis server that goes away while a store is opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.open import open_store

ANSWERS = {b"CLIENT": b"+OK\r\n", b"PING": b"+PONG\r\n", b"INFO cluster": b"$17\r\ncluster_enabled:0\r\n"}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A server that hangs up when it is asked about itself."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (answer := ANSWERS.get(await _command(reader))) is not None:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"redis://{host}:{port}/0"


async def _command(reader: asyncio.StreamReader) -> bytes:
    words = []
    for _ in range(int((await reader.readline())[1:])):
        await reader.readline()  # how long the word is
        words.append((await reader.readline()).strip())
    whole = b" ".join(words)
    return whole if whole in ANSWERS else words[0] if words[0] != b"INFO" else whole


async def test_a_connection_that_is_lost_while_opening_is_told_as_unavailable(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="was lost"):
        await open_store(url).__aenter__()
