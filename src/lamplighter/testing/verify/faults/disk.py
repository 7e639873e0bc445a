"""Faults of the database file."""

from __future__ import annotations

import asyncio

from lamplighter.testing.verify.faults.arena import Arena
from lamplighter.testing.verify.places.place import Place


def not_sqlite(place: Place) -> str:
    """Why there is no file to write to."""
    return "" if place.kind == "sqlite" else "only SQLite writes its file in the workers themselves"


async def commit_kill(arena: Arena) -> None:
    """SIGKILL to a process that writes all the time, at a random moment: often in the middle of a commit."""
    await asyncio.sleep(arena.dice.uniform(0, 0.1))
    if writer := arena.crew.pick("enqueuer") or arena.crew.pick("worker"):
        with arena.fault("commit-kill", writer):
            writer.kill()
            await writer.ended()


async def disk_full(arena: Arena) -> None:
    """The file of every worker can grow no more, as on a full disk, and then it can again."""
    workers = arena.crew.of("worker")
    with arena.fault("disk-full", *workers):
        for worker in workers:
            worker.tell("full")
        await asyncio.sleep(arena.lease / 2)
        for worker in workers:
            worker.tell("room")
