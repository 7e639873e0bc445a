"""No request's body is larger than any call needs, whatever it says of its length."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lamplighter.web.errors import TOO_LARGE, plain_error

LARGEST = 64 * 1024  # bytes


class Bounds:
    """The framework's own limit would answer in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a length that is too large before reading, and stop reading a body that has become so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if int(Headers(scope=scope).get("Content-Length", 0)) > LARGEST:  # servers refuse what is no number
            await plain_error(TOO_LARGE)(scope, receive, send)
            return
        await self._app(scope, _bounded(receive), send)


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > LARGEST:
            raise HTTPException(TOO_LARGE)
        return message

    return receive_some
