"""Where a run takes place: a corner of a store that is the run's alone, and what may be done to it there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from lamplighter.testing.proxy import FaultyProxy

S = TypeVar("S")
AppendFsync = Literal["always", "everysec"]
StoreKind = Literal["sqlite", "postgres", "redis"]


class Server(Protocol):
    """A server that verify started itself, and so may kill."""

    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...


async def nothing_left() -> list[str]:
    """For a store that has nothing else to look at."""
    return []


class Place(Struct, frozen=True, kw_only=True):
    """`url` is for the processes of the run, `direct` for the run itself: no fault is between that and the store.

    Args:
        says: one line about where it is and what becomes of it.
        file: the database file, of SQLite.
        server: what may be killed and started again; None if it is not ours.
        crash: how to end the server without warning.
        link: what can be cut; None if there is no network between.
        unreachable: why there is no link, if there could be one.
        transactions: whether jobs can join a transaction.
        patience: seconds after which a worker takes a server that does not answer to be away.
        is_held_by_one: whether a process that stands still may hold up all others, as one does in mid-commit to a file.
        loses: seconds of acknowledged writes that a killed server may lose.
        leftovers: looks for what should not be there at the end, once everybody is gone.
    """

    kind: StoreKind
    url: str
    direct: str
    says: str
    file: Path | None = None
    server: Server | None = None
    crash: Callable[[], None] | None = None
    link: FaultyProxy | None = None
    unreachable: str = ""
    transactions: bool = False
    patience: float = 0.0
    is_held_by_one: bool = False
    loses: float = 0.0
    leftovers: Callable[[], Awaitable[list[str]]] = nothing_left
    hold_connections: Callable[[float], Awaitable[None]] | None = None


def new_name() -> str:
    """A name that nobody else has: of a schema, a prefix or a file."""
    return f"lamplighter_verify_{secrets.token_hex(4)}"


@asynccontextmanager
async def between(host: str, port: int) -> AsyncIterator[FaultyProxy]:
    """A proxy before a server, to be cut."""
    proxy = FaultyProxy(host, port)
    await asyncio.to_thread(proxy.__enter__)
    try:
        yield proxy
    finally:
        await asyncio.to_thread(proxy.__exit__)


@asynccontextmanager
async def started(server: AbstractContextManager[S]) -> AsyncIterator[S]:
    """A server of the run's own. Starting and ending it takes a while, in which this loop goes on."""
    running = await asyncio.to_thread(server.__enter__)
    try:
        yield running
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


def with_options(url: str, options: Mapping[str, str]) -> str:
    """The URL with these options in place of its own of the same names."""
    parts = urlsplit(url)
    merged = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **options}
    return urlunsplit(parts._replace(query=urlencode(merged)))
