"""Server-sent events: what is sent while a client listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from lamplighter.web.answers import HEADERS

SLOWEST = 10.0  # seconds that a client may take to read what was sent
KEEP_ALIVE = b": still here\n\n"
RETRY = b"retry: 2000\n\n"  # milliseconds until a client that lost us comes back

_log = logging.getLogger("lamplighter.web")


def event(name: str, number: int, json: bytes) -> bytes:
    """One event. JSON as we write it has no line ends, so it is one line."""
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), number, json)


class EventStream(StreamingResponse):
    """Sends events until there are no more, or the client has gone, or does not read: nothing is kept for it."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(events, headers=HEADERS | {"X-Accel-Buffering": "no"})
        self._events = events
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as all
        streaming = asyncio.create_task(self._stream(send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait([streaming, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (streaming, leaving):
                task.cancel()
            await asyncio.wait([streaming, leaving])
            self._ended()
        if not streaming.cancelled():
            streaming.result()

    async def _stream(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SLOWEST):
                await send(message)

        try:
            async with aclosing(self._events):
                await self.stream_response(send_in_time)
        except TimeoutError:
            _log.info("A client of events does not read them: it is dropped.")
        except OSError:
            _log.debug("A client of events has gone.")
