"""No request's body is larger than any call needs, whatever it says of its length."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lamplighter.web.errors import TOO_LARGE, plain_error

LARGEST = 64 * 1024  # bytes
LARGEST_BATCH = 1024 * 1024  # of many jobs


class Bounds:
    """The framework's own limit would answer in plain text. `larger`: how large bodies may be on some paths."""

    def __init__(self, app: ASGIApp, larger: Mapping[str, int] = MappingProxyType({})) -> None:
        self._app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a length that is too large before reading, and stop reading a body that has become so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = self._larger.get(scope["path"].removeprefix(scope.get("root_path", "")), LARGEST)
        if int(Headers(scope=scope).get("Content-Length", 0)) > largest:  # servers refuse what is no number
            await plain_error(TOO_LARGE)(scope, receive, send)
            return
        await self._app(scope, _bounded(receive, largest), send)


def _bounded(receive: Receive, largest: int) -> Receive:
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > largest:
            raise HTTPException(TOO_LARGE)
        return message

    return receive_some
