"""A server of our own for an ASGI app: uvicorn on a socket that is open before it says so, ended by whoever runs it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from lamplighter.core.errors import ConfigError

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
