from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from lamplighter.integrations import http_pool
from lamplighter.integrations.http_pool import HttpPool


class Server:
    """Answers when it is let, and counts who came."""

    def __init__(self) -> None:
        self.url = ""
        self.came = 0
        self.open = 0
        self.asked = 0
        self.let = asyncio.Event()
        self.let.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came += 1
        self.open += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                await self.let.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except asyncio.IncompleteReadError:
            self.open -= 1
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as listening:
        made.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        yield made


async def ask(http: HttpPool, url: str) -> bytes:
    async with http.stream("GET", url) as response:
        return await response.aread()


async def until(server: Server, *, still_open: int) -> None:
    async with asyncio.timeout(10):
        while server.open != still_open:  # noqa: ASYNC110 - the server hears of it when the system tells it
            await asyncio.sleep(0.001)


async def test_one_request_after_the_other_goes_over_one_connection(server: Server) -> None:
    async with HttpPool() as http:
        assert [await ask(http, server.url) for _ in range(5)] == [b"ok"] * 5
    assert (server.came, server.asked) == (1, 5)
    await until(server, still_open=0)


async def test_requests_at_once_have_a_connection_each(server: Server) -> None:
    server.let.clear()
    async with HttpPool() as http, asyncio.timeout(10):
        asking = [asyncio.create_task(ask(http, server.url)) for _ in range(5)]
        while server.asked < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        server.let.set()
        assert await asyncio.gather(*asking) == [b"ok"] * 5
        assert server.came == 5


async def test_what_was_not_used_for_a_while_is_closed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with HttpPool() as http:
        await asyncio.gather(*(ask(http, server.url) for _ in range(3)))
        assert server.open == server.came == 3
        monkeypatch.setattr(http_pool, "KEPT", -1.0)
        await ask(http, server.url)
        await until(server, still_open=0)


async def test_a_request_that_is_cancelled_leaves_no_connection_with_half_an_answer(server: Server) -> None:
    server.let.clear()
    async with HttpPool() as http, asyncio.timeout(10):
        asking = asyncio.create_task(ask(http, server.url))
        while not server.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.wait([asking])
        server.let.set()
        assert await ask(http, server.url) == b"ok"
        assert server.came == 2


async def test_what_cannot_be_reached_raises_as_the_client_does() -> None:
    async with HttpPool() as http:
        with pytest.raises(httpx2.ConnectError):
            await ask(http, "http://127.0.0.1:1/")
