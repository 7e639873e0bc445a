"""A network that fails on command: a proxy between clients and one server.

    with FaultyProxy("127.0.0.1", server.port) as proxy:
        async with open_store(proxy.url_for(server.url)) as store:
            proxy.freeze()
            ...

A client that learns of other addresses from its server, as those of a Redis Cluster and of Sentinel do, goes past it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from itertools import chain
from threading import Thread
from typing import Any, Self
from urllib.parse import urlsplit

from lamplighter.testing.servers.base import HOST, ServerFailed, free_port

PATIENCE = 30.0  # seconds that a fault may take to begin on a machine under load

_LARGEST = 64 * 1024  # bytes in a piece
_PIECES = 64  # on their way in each direction: then the sender has to wait
_PORTS_TRIED = 5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_Piece = tuple[float, bytes]  # when it came, and what it is; nothing is the end


class FaultyProxy:
    """Every fault has begun when its method returns, and may be asked for from any thread; faults add up.

    Args:
        target_host, target_port: where each connection is carried to.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.port = 0
        self._target = (target_host, target_port)
        self._delay = 0.0
        self._delay_changed = asyncio.Event()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._server: asyncio.Server | None = None
        self._links: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="faulty-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._now(self._listen_anywhere())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._now(self._refuse())
        self._now(self._cut())
        self._end()

    def url_for(self, url: str) -> str:
        """The URL of the server, with the proxy's place in it."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{HOST}:{self.port}").geturl()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._links)

    def delay(self, seconds: float) -> None:
        """Carry everything so much later, in each direction; 0 ends that, for what is on its way too."""
        self._now(self._set_delay(seconds))

    def cut(self) -> None:
        """Reset every connection, at both its ends. New ones are carried."""
        self._now(self._cut())

    def freeze(self) -> None:
        """Carry nothing more in either direction, not even the end of a connection; new ones are taken, and hang."""
        self._now(self._set_frozen(frozen=True))

    def thaw(self) -> None:
        """Carry on, with what was sent meanwhile first."""
        self._now(self._set_frozen(frozen=False))

    def refuse(self) -> None:
        """Let no new connection in; those that there are stay."""
        self._now(self._refuse())

    def accept(self) -> None:
        """Let new connections in again."""
        self._now(self._listen())

    def heal(self) -> None:
        """End every fault."""
        self.delay(0)
        self.thaw()
        self.accept()

    def _now(self, fault: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(fault, self._loop).result(PATIENCE)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen_anywhere(self) -> None:
        for _ in range(_PORTS_TRIED):
            self.port = free_port()
            with contextlib.suppress(OSError):  # another process was faster
                return await self._listen()
        raise ServerFailed(f"the proxy found no free port in {_PORTS_TRIED} tries: try again.")

    async def _listen(self) -> None:
        if not self._server:
            self._server = await asyncio.start_server(self._take_in, HOST, self.port, limit=_LARGEST)

    async def _refuse(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _set_frozen(self, *, frozen: bool) -> None:
        (self._thawed.clear if frozen else self._thawed.set)()

    async def _set_delay(self, seconds: float) -> None:
        self._delay = seconds
        self._delay_changed.set()
        self._delay_changed = asyncio.Event()

    async def _cut(self) -> None:
        links = dict(self._links)
        while not all(link.done() for link in links):  # one that was just breaking by itself needs telling twice
            for link in links:
                link.cancel()
            await asyncio.wait(links, timeout=0.05)
        await _reset(*chain.from_iterable(links.values()))

    def _take_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        task = self._loop.create_task(self._link(reader, ends))
        self._links[task] = ends
        task.add_done_callback(self._links.pop)

    async def _link(self, from_client: asyncio.StreamReader, ends: list[asyncio.StreamWriter]) -> None:
        """Carry one connection to its end. What breaks on one side breaks on the other, once that can be heard."""
        broken = False
        try:
            await self._carry_both_ways(from_client, ends)
        except* OSError:
            broken = True
        if broken:
            await self._thawed.wait()
            await _reset(*ends)

    async def _carry_both_ways(self, from_client: asyncio.StreamReader, ends: list[asyncio.StreamWriter]) -> None:
        await self._thawed.wait()
        from_target, to_target = await asyncio.open_connection(*self._target, limit=_LARGEST)
        ends.append(to_target)
        async with asyncio.TaskGroup() as group:
            self._carry(group, from_client, to_target)
            self._carry(group, from_target, ends[0])
        for end in ends:
            end.close()

    def _carry(self, group: asyncio.TaskGroup, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """In two tasks, so that a delay makes every piece later without making them fewer."""
        pieces: asyncio.Queue[_Piece] = asyncio.Queue(_PIECES)
        group.create_task(self._receive(source, pieces))
        group.create_task(self._send(pieces, sink))

    async def _receive(self, source: asyncio.StreamReader, pieces: asyncio.Queue[_Piece]) -> None:
        data = b"not the end"
        while data:
            data = await source.read(_LARGEST)
            await pieces.put((self._loop.time(), data))

    async def _send(self, pieces: asyncio.Queue[_Piece], sink: asyncio.StreamWriter) -> None:
        while True:
            came, data = await pieces.get()
            await self._until_due(came)
            await self._thawed.wait()
            if not data:
                return sink.write_eof()
            sink.write(data)
            await sink.drain()

    async def _until_due(self, came: float) -> None:
        while (left := came + self._delay - self._loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._delay_changed.wait(), left)


async def _reset(*ends: asyncio.StreamWriter) -> None:
    """Close them with RST, as when a machine on the way forgets the connection."""
    for end in ends:
        with contextlib.suppress(OSError):  # it is closed already
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.transport.abort()
    await asyncio.sleep(0)  # the loop closes them in its next round
