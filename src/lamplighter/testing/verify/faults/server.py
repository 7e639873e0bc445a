"""Faults of the server itself: only of one that was started for the run."""

from __future__ import annotations

import asyncio

from lamplighter.testing.verify.faults.arena import Arena
from lamplighter.testing.verify.places.place import Place

LONGEST_DOWN = 1.0  # seconds


def not_ours(place: Place) -> str:
    """Why the server is left alone."""
    if place.kind == "sqlite":
        return "SQLite has no server"
    return "" if place.server else "the server is yours: use `--store postgres` or `--store redis` for one of the run's"


def connections_not_held(place: Place) -> str:
    """Why its connections cannot be used up."""
    return not_ours(place) or ("" if place.hold_connections else "this server's connections cannot be counted")


async def server_kill(arena: Arena) -> None:
    """The server dies without warning, and comes back after a moment."""
    place = arena.place
    assert place.server is not None
    assert place.crash is not None
    with arena.fault("server-kill", loses=place.loses):
        await asyncio.to_thread(place.crash)
        await asyncio.sleep(arena.dice.uniform(0, LONGEST_DOWN))
        await asyncio.to_thread(place.server.start)


async def connections(arena: Arena) -> None:
    """All connections that the server has to give are taken for a while."""
    assert arena.place.hold_connections is not None
    with arena.fault("connections"):
        await arena.place.hold_connections(1.25 * arena.lease)
