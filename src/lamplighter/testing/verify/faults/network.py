"""Faults between the processes and their server. They go through our proxy, so a server of yours is not touched."""

from __future__ import annotations

import asyncio

from lamplighter.testing.verify.faults.arena import Arena
from lamplighter.testing.verify.places.place import Place

DELAY = 0.05  # seconds that each piece of data takes, where the network is slow
SLOW_FOR = 2.0  # seconds
LONGEST_FREEZE = 15.0  # seconds


def no_link(place: Place) -> str:
    """Why nothing can be cut."""
    if place.kind == "sqlite":
        return "there is no network between workers and a file"
    return place.unreachable if place.link is None else ""


async def cut(arena: Arena) -> None:
    """All connections break at once, and can be made again."""
    assert arena.place.link is not None
    with arena.fault("cut"):
        await asyncio.to_thread(arena.place.link.cut)


async def freeze(arena: Arena) -> None:
    """Connections stay open and carry nothing, for longer than leases and patience."""
    assert arena.place.link is not None
    with arena.fault("freeze"):
        await asyncio.to_thread(arena.place.link.freeze)
        try:
            await asyncio.sleep(max(1.75 * arena.lease, min(LONGEST_FREEZE, arena.place.patience + 1)))
        finally:
            await asyncio.to_thread(arena.place.link.heal)


async def slow(arena: Arena) -> None:
    """Everything takes longer, but not so long that a lease could run out: nothing excuses an effect twice."""
    assert arena.place.link is not None
    with arena.fault("slow", excuses=False):
        await asyncio.to_thread(arena.place.link.delay, DELAY)
        try:
            await asyncio.sleep(SLOW_FOR)
        finally:
            await asyncio.to_thread(arena.place.link.heal)
