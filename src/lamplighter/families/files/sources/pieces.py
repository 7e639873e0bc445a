"""The body of an HTTP answer: bounded, or in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from lamplighter.families.files.source import FileRefused, SourceDown

PIECE = 1024 * 1024  # bytes


async def read_bounded(response: httpx2.Response, most: int, name: str) -> bytes:
    """All of it. Raises SourceDown if it is longer, or breaks off."""
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > most:
                raise SourceDown(f"{name} answered more than {most} bytes: ask whoever runs it.")
    except httpx2.TransportError as error:
        raise SourceDown(f"{name} broke off in the midst of an answer: try again later.") from error
    return bytes(body)


async def pieces_of(response: httpx2.Response, name: str) -> AsyncIterator[bytes]:
    """Its content, a mebibyte at a time or less. We asked for it as it is: a compressed one might never end."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise FileRefused(f"{name} sends the content compressed, though asked not to: it is not read.")
    try:
        async for piece in response.aiter_raw(PIECE):
            yield piece
    except httpx2.TransportError as error:
        raise SourceDown(f"{name} broke off in the midst of a file: try again later.") from error
