"""Where a run takes place: a corner of a store that is the run's alone, and what may be done to it there."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct

StoreKind = Literal["sqlite", "postgres", "redis"]


class Server(Protocol):
    """A server that verify started itself, and so may kill."""

    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...


class Link(Protocol):
    """The network between the processes of the run and their server. Every fault lasts until `heal`."""

    def cut(self) -> object: ...
    def freeze(self) -> object: ...
    def slow(self, seconds: float) -> object: ...
    def heal(self) -> object: ...


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
    link: Link | None = None
    unreachable: str = ""
    transactions: bool = False
    patience: float = 0.0
    loses: float = 0.0
    leftovers: Callable[[], Awaitable[list[str]]] = nothing_left
    hold_connections: Callable[[float], Awaitable[None]] | None = None


def new_name() -> str:
    """A name that nobody else has: of a schema, a prefix or a file."""
    return f"lamplighter_verify_{secrets.token_hex(4)}"


def with_options(url: str, options: Mapping[str, str]) -> str:
    """The URL with these options in place of its own of the same names."""
    parts = urlsplit(url)
    merged = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **options}
    return urlunsplit(parts._replace(query=urlencode(merged)))
