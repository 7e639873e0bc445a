"""A server of our own: uvicorn on a socket that is open before it says so, ended by whoever runs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from lamplighter.app import App
from lamplighter.core.errors import ConfigError
from lamplighter.web.site import Site, open_site

IDLE = 75  # seconds that a connection is kept without a request: longer than clients do, or it closes as they send one
LAST_REQUESTS = 5  # seconds that requests under way may take once it is told to stop


class Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,  # it would have the queries: of the callback's, which hold codes, and of login links
                lifespan="off",
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=LAST_REQUESTS,
                timeout_keep_alive=IDLE,
                ws="none",
            )
        )

    def stop(self) -> None:
        """Take no more requests, and end once those under way are answered."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured here."""
        yield


@asynccontextmanager
async def serving(app: App[Any], *, host: str, port: int) -> AsyncIterator[Site]:
    """The site of an open app, for as long as the block lasts; port 0 is one that is free.

    Raises:
        ConfigError: what `open_site` and `listening` raise.
    """
    with listening(host, port) as listener:
        async with open_site(app, host=host, port=listener.getsockname()[1]) as site:
            server = Server(site.asgi)
            served = asyncio.create_task(server.serve([listener]), name="lamplighter-web")
            try:
                yield site
            finally:
                server.stop()
                await served


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there; port 0 is one that is free.

    Raises:
        ConfigError: it cannot.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # the address once more
        raise ConfigError(
            f"{host} port {port} cannot be listened on ({reason}): name another in web_host and web_port."
        ) from error
    with listener:
        yield listener
