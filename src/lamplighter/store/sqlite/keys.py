"""Who holds which unique key."""

from __future__ import annotations

from itertools import groupby
from typing import Literal, NamedTuple

import msgspec

from lamplighter.store.pack import pack
from lamplighter.store.sqlite.batch import run, unpack
from lamplighter.store.sqlite.connection import Connection


class KeyMove(NamedTuple):
    """A job takes a key, if that is free or its parent hands it on, or lets it go, if it holds it."""

    verb: Literal["take", "let go"]
    job: str
    key: str
    until: int | None = None
    parent: str | None = None


def move(connection: Connection, moves: list[KeyMove], now: int) -> None:
    """Do these in order: who is first to take a key has it."""
    for verb, grouped in groupby(moves, key=lambda one: one.verb):
        some = list(grouped)
        rows = pack([(one.job, one.key, one.until) for one in some])
        if verb == "take":
            parents = msgspec.json.encode({one.job: one.parent for one in some if one.parent}).decode()
            run(connection, "take_keys", rows=rows, now=now, parents=parents)
        else:
            run(connection, "let_go_keys", rows=rows)


def lost(connection: Connection, takers: list[KeyMove]) -> dict[str, str]:
    """Which of those who tried to take a key did not get it, each with who holds it instead."""
    rows = pack([(taker.job, taker.key) for taker in takers])
    return dict(unpack(connection, "other_holders", rows=rows))
