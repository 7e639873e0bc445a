"""One connection that all tasks of a loop share: commands go out as they come, and answers come back in that order.

So fifty tasks need one connection instead of fifty, and what they ask in one turn of the loop leaves in one packet.
Redis runs one command after the other anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import hiredis

Arg = str | bytes | int
Command = tuple[Arg, ...]

_MORE = object()  # what the reader says when an answer has not come whole yet
GRACE = 0.1  # seconds more for an answer that may have come while the loop stood still
_PUSHED = (b"message", b"smessage", b"sunsubscribe")  # what a server says without being asked


class Lost(ConnectionError):
    """The connection ended before the answer came: whether the command was carried out is not known."""


class _Waiting(NamedTuple):
    since: float
    answer: asyncio.Future[Any]


class Wire(asyncio.Protocol):
    """A connection in RESP2.

    Args:
        patience: seconds without any answer after which the connection is given up as dead.
        hear: called with each message of a channel, and when the server ends a subscription.
    """

    def __init__(self, *, patience: float, hear: Callable[[list[Any]], None] | None = None) -> None:
        self.lost: Exception | None = None
        """Why it ended, once it has."""
        self.ended = asyncio.Event()
        self._patience = patience
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._doubted = False
        self._retired = False

    def ask(self, *command: Arg) -> asyncio.Future[Any]:
        """The answer to come: an error of the server's is answered as a `hiredis.ReplyError`, not raised."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.lost is not None or self._transport is None:
            answer.set_exception(Lost("closed"))
            return answer
        if not self._out:
            self._loop.call_soon(self._send)
        self._out.append(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub means a tuple of one
        self._waiting.append(_Waiting(self._loop.time(), answer))
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._check)
        return answer

    def tell(self, *command: Arg) -> None:
        """Ask, but for no answer."""
        answer = self.ask(*command)
        if not answer.cancel():
            answer.exception()  # seen: the connection is closed, as whoever asks next will hear

    def retire(self) -> None:
        """Close once everything that was asked is answered."""
        self._retired = True
        if not self._waiting:
            self.close()

    def close(self, why: Exception | None = None) -> None:
        """Close now; answers that have not come will not."""
        self._end(why)
        if self._transport is not None:
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Until nothing of it is left."""
        if self._transport is not None:
            await self.ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        self._doubted = False
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _MORE:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.close(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self.ended.set()

    def _take(self, reply: Any) -> None:
        if self._hear is not None and isinstance(reply, list) and reply[0] in _PUSHED:
            self._hear(reply)
            return
        if not self._waiting:
            raise hiredis.ProtocolError("an answer that nobody asked for")
        answer = self._waiting.popleft().answer
        if not answer.done():  # nobody waits for it any more
            answer.set_result(reply)
        if self._retired and not self._waiting:
            self.close()

    def _send(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and self.lost is None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _check(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        left = self._waiting[0].since + self._patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._check)
        elif not self._doubted:
            self._doubted = True
            self._timer = self._loop.call_later(GRACE, self._check)
        else:
            self.close(TimeoutError(f"no answer within {self._patience:g} s"))

    def _end(self, why: Exception | None) -> None:
        if self.lost is not None:
            return
        self.lost = why or ConnectionResetError("closed by the other side")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_exception(Lost(str(self.lost)))
        self._waiting.clear()
