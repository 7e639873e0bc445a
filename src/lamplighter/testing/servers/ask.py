"""One question to a Redis server, without a client library."""

from __future__ import annotations

import socket
from typing import BinaryIO

from lamplighter.testing.servers.base import HOST

PATIENCE = 5.0  # seconds

Answer = str | list["Answer"] | None


def ask(port: int, *words: object) -> Answer:
    """The answer; an error that it answers with is text too, and None is also what nobody's answer comes to."""
    parts = [str(word).encode() for word in words]
    question = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    try:
        with socket.create_connection((HOST, port), PATIENCE) as connection, connection.makefile("rb") as stream:
            connection.sendall(question)
            return _read(stream)
    except (OSError, EOFError):
        return None


def _read(stream: BinaryIO) -> Answer:
    """One value of the protocol's second version."""
    line = stream.readline().decode().removesuffix("\r\n")
    match line[:1], line[1:]:
        case "$" | "*", "-1":
            return None
        case "$", length:
            return stream.read(int(length) + 2)[:-2].decode(errors="replace")
        case "*", count:
            return [_read(stream) for _ in range(int(count))]
        case "", _:
            raise EOFError
        case _, text:
            return text
