"""What the two sides say to each other: a length, then MessagePack of a known type. Nothing is ever unpickled."""

from __future__ import annotations

import socket
import struct

from msgspec import Struct, msgpack

from lamplighter.families.files.extraction.extracted import Extracted

LENGTH = struct.Struct("!I")
LONGEST_REQUEST = 64 * 1024  # bytes: a path, a name and a type


class Request(Struct, frozen=True, kw_only=True):
    """A file to be read. Name and type are what its source says of it."""

    path: str
    name: str
    mime_type: str | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What was found, or why nothing was. `is_last`: the process has had its time and wants to be replaced."""

    found: Extracted | None = None
    failed: str | None = None
    is_last: bool = False


def framed(message: Request | Answer) -> bytes:
    """As it is sent."""
    body = msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def receive_request(connection: socket.socket) -> Request | None:
    """The next one; None: there will be no more."""
    head = _exactly(connection, LENGTH.size)
    if head is None or LENGTH.unpack(head)[0] > LONGEST_REQUEST:
        return None
    body = _exactly(connection, LENGTH.unpack(head)[0])
    return None if body is None else msgpack.decode(body, type=Request)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data
