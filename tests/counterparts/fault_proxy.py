"""A proxy before one HTTP server, which lets requests meet faults; the fixture `start_proxy` starts one.

    proxy = await start_proxy(google_drive.url)
    proxy.meet("/drive/v3/about", answer(429, retry_after=2))           # the next request for that path, or below it
    proxy.meet("/drive/v3", answer(503), count=None)                    # then every one, until `proxy.heal()`
    ...
    await proxy.arrived(3)                                              # the third request has come
    assert proxy.statuses("/drive") == [429, 503, 503]

It reads one request from each connection and ends it with the answer. Host stays what the client sent, so that links
in an answer lead to the proxy again. For the faults of a network under any protocol see `lamplighter.testing.proxy`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

PATIENCE = 60.0  # seconds that anything may take on a machine under load
HOST = "127.0.0.1"
LARGEST_HEAD = 64 * 1024  # bytes


@dataclass
class Request:
    """A request that has come. `path` is without its query; `status` is what the client was told, None for nothing."""

    method: str
    path: str
    status: int | None = None


class Exchange(NamedTuple):
    """A request on its way: what a fault does to it."""

    request: Request
    forward: Callable[[], Awaitable[bytes]]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, answer: bytes) -> None:
        """Send the client an answer, or as much of it as there is."""
        self.request.status = int(answer.split(maxsplit=2)[1])
        self.writer.write(answer)
        await self.writer.drain()


Fault = Callable[[Exchange], Awaitable[None]]


async def forward(exchange: Exchange) -> None:
    """No fault: `meet("/token", forward, count=2)` lets two requests pass before the next fault."""
    await exchange.send(await exchange.forward())


async def half(exchange: Exchange) -> None:
    """Forward it, send half of the answer's body and hang up: the client knows from Content-Length."""
    answer = await exchange.forward()
    head, end, body = answer.partition(b"\r\n\r\n")
    await exchange.send(head + end + body[: len(body) // 2])


async def lose(exchange: Exchange) -> None:
    """Forward it, and hang up instead of passing the answer on."""
    await exchange.forward()


async def hang_up(exchange: Exchange) -> None:
    """Hang up without a word, and without forwarding it."""


async def silence(exchange: Exchange) -> None:
    """Never answer, without forwarding it: until the client leaves."""
    await exchange.reader.read()


def answer(status: int, body: object = None, *, retry_after: int | str | None = None) -> Fault:
    """Answer in the server's place, without forwarding: bytes as they are, anything else as JSON, None as a page."""
    content_type = "text/html" if body is None or isinstance(body, bytes) else "application/json"
    reason = HTTPStatus(status).phrase
    if body is None:
        body = f"<h1>{reason}</h1>".encode()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {content_type}", f"Content-Length: {len(content)}"]
    if retry_after is not None:
        lines.append(f"Retry-After: {retry_after}")
    head = "\r\n".join([*lines, "Connection: close", "", ""])

    async def send(exchange: Exchange) -> None:
        await exchange.send(head.encode() + content)

    return send


def slow(seconds: float) -> Fault:
    """Forward it, and pass the answer on so much later."""

    async def wait(exchange: Exchange) -> None:
        answer = await exchange.forward()
        await asyncio.sleep(seconds)
        await exchange.send(answer)

    return wait


def hold(until: asyncio.Event) -> Fault:
    """Forward it, and pass the answer on once the event is set."""

    async def wait(exchange: Exchange) -> None:
        answer = await exchange.forward()
        await until.wait()
        await exchange.send(answer)

    return wait


@dataclass
class _Order:
    prefix: str
    fault: Fault
    left: float


class FaultProxy:
    """A running proxy. `requests` has every request so far, in the order in which they came."""

    def __init__(self, target: str) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self._target = urlsplit(target)
        self._orders: list[_Order] = []
        self._ended = 0
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._mistakes: list[BaseException] = []

    def url_for(self, url: str) -> str:
        """The URL of the server, with the proxy's place in it."""
        return urlsplit(url)._replace(netloc=urlsplit(self.url).netloc).geturl()

    def meet(self, prefix: str, fault: Fault, *, count: int | None = 1) -> None:
        """Let the next `count` requests whose path begins like this meet the fault; None: all, until `heal`.

        Orders add up: what a request meets is the oldest that is for it, and not yet used up.
        """
        self._orders.append(_Order(prefix, fault, float("inf") if count is None else count))

    def heal(self) -> None:
        """Forward every request that comes from now on. What is held stays held."""
        self._orders.clear()

    def seen(self, prefix: str = "/") -> list[Request]:
        """The requests whose path begins like this."""
        return [request for request in self.requests if request.path.startswith(prefix)]

    def statuses(self, prefix: str = "/") -> list[int | None]:
        """What each of those was answered; None: nothing, or not yet."""
        return [request.status for request in self.seen(prefix)]

    async def arrived(self, count: int, prefix: str = "/") -> None:
        """Wait until so many of those have come."""
        await self._until(lambda: len(self.seen(prefix)) >= count)

    async def idle(self) -> None:
        """Wait until every request that has come is over, well or not."""
        await self._until(lambda: self._ended == len(self.requests))

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    def _take_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (mistake := task.exception()):
            self._mistakes.append(mistake)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            with suppress(ConnectionError, asyncio.IncompleteReadError):  # a client that has left
                lines, body = await _read(reader)
                method, target, _ = lines[0].split(" ", 2)
                with self._noted(Request(method, urlsplit(target).path)) as request:
                    fault = self._fault_for(request.path)
                    await fault(Exchange(request, lambda: self._forward(lines, body), reader, writer))

    @contextmanager
    def _noted(self, request: Request) -> Iterator[Request]:
        self.requests.append(request)
        self._news.set()
        try:
            yield request
        finally:
            self._ended += 1
            self._news.set()

    def _fault_for(self, path: str) -> Fault:
        for order in self._orders:
            if order.left > 0 and path.startswith(order.prefix):
                order.left -= 1
                return order.fault
        return forward

    async def _forward(self, lines: list[str], body: bytes) -> bytes:
        """The server's whole answer: it ends where the server hangs up, as it is asked to."""
        reader, writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        async with _closing(writer):
            kept = [line for line in lines if not line.lower().startswith("connection:")]
            writer.write("\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1") + body)
            await writer.drain()
            return await reader.read()

    async def stop(self) -> None:
        """End what is still held or silent. Raises what went wrong in a fault."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._mistakes:
            raise self._mistakes[0]


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(OSError):  # the other end was faster
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> tuple[list[str], bytes]:
    """The request's lines, up to the empty one, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").removesuffix("\r\n\r\n")
    lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    assert "transfer-encoding" not in headers, "the proxy knows bodies with a Content-Length only: send it so."
    return lines, await reader.readexactly(int(headers.get("content-length", "0")))


@asynccontextmanager
async def running_proxy(target: str) -> AsyncIterator[FaultProxy]:
    """A proxy before the server with that URL, on a free port."""
    proxy = FaultProxy(target)
    async with await asyncio.start_server(proxy._take_in, HOST, 0, limit=LARGEST_HEAD) as server:
        proxy.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        try:
            yield proxy
        finally:
            await proxy.stop()
