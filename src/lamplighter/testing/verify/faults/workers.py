"""Faults of worker processes."""

from __future__ import annotations

import asyncio

from lamplighter.testing.verify.faults.arena import Arena
from lamplighter.testing.verify.places.place import Place

HOUR = 3600.0


def one_clock(place: Place) -> str:
    """Why clocks cannot differ."""
    return "all workers on a file are on one machine and share its clock" if place.kind == "sqlite" else ""


async def kill(arena: Arena) -> None:
    """SIGKILL to a worker. Another takes its place."""
    if worker := arena.crew.pick("worker"):
        with arena.fault("kill", worker):
            worker.kill()
            await worker.ended()


async def stop(arena: Arena) -> None:
    """SIGSTOP to a worker for longer than its lease, then SIGCONT: it must not finish what is not its own any more."""
    if worker := arena.crew.pick("worker"):
        hit = () if arena.place.is_held_by_one else (worker,)
        with arena.fault("stop", *hit):
            worker.stop()
            await asyncio.sleep(1.75 * arena.lease)
            worker.go_on()


async def block(arena: Arena) -> None:
    """A handler that holds up the event loop of its worker for longer than the lease: it must not lose its jobs."""
    with arena.fault("block", excuses=False):
        await arena.add_blocking()
        await asyncio.sleep(1.5 * arena.lease)


async def clock(arena: Arena) -> None:
    """A worker whose wall clock is an hour ahead, and one an hour behind."""
    async with arena.extra_worker(HOUR), arena.extra_worker(-HOUR):
        with arena.fault("clock", excuses=False):
            await asyncio.sleep(2 * arena.lease)
