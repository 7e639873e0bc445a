"""The token endpoint that `lamplighter bench refresh` starts in a process of its own: `python -m` this module.

As little as answers RFC 6749, section 6: HTTP/1.1 with keep-alive, each answer with a new refresh token. It prints its
port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
import sys
from typing import cast

from lamplighter.cli.opened import run_async

ACCESS, REFRESH = 1000, 200  # characters of a token; providers' access tokens have from 150 to 2,000
LIFETIME = 3600  # seconds

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_numbers = itertools.count()
_RUN = secrets.token_hex(8)


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody came."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._received += data
        while (end := end_of_message(self._received)) is not None:
            self._received = self._received[end:]
            self._transport.write(answer())


def end_of_message(received: bytes) -> int | None:
    """Where the first request or answer in `received` ends; None if it has not come to its end."""
    head, blank, body = received.partition(b"\r\n\r\n")
    if not blank:
        return None
    length = _LENGTH.search(head)
    size = int(length[1]) if length else 0
    return len(head) + len(blank) + size if len(body) >= size else None


def answer() -> bytes:
    """New tokens, always as long."""
    refresh_token = f"{next(_numbers):012}-{_RUN}".ljust(REFRESH, "r")
    body = json.dumps(
        {
            "access_token": "a" * ACCESS,
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "refresh_token": refresh_token,
            "scope": "files.read files.write",
        }
    ).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


async def _serve() -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    server = await loop.create_server(Endpoint, "127.0.0.1", backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    run_async(_serve())
