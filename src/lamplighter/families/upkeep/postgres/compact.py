"""Shrinking a table while it is in use, without an extension and without the exclusive lock of VACUUM FULL."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from lamplighter.families.upkeep.finding import GaveWay, UpkeepError
from lamplighter.families.upkeep.postgres.moving import Batch, Mover
from lamplighter.families.upkeep.postgres.server import Server
from lamplighter.families.upkeep.turn import Turn

VACUUMS = 4  # of a table, at most so many in one round: each reads all of its indexes
PASSES = 3  # over the pages of a round: rows that somebody held the first time
ROUNDS = 4
WORTH_IT = 0.02  # of a table: a round that frees less is the last
OUT_OF_TIME = "the time was over: it goes on the next time where it is now."
PATIENT = 20  # times in a row that somebody may be in the way


class Pages(NamedTuple):
    """How many a table has, and how to write its name and its shortest column's."""

    number: int
    name: str
    column: str | None


async def compact(server: Server, oid: int, fresh: float, turn: Turn) -> AsyncIterator[str]:
    """Move rows ahead and give the end back, until `fresh` of the table is left or nothing more comes of it.

    Args:
        fresh: the share of its pages that its rows would take if they were written anew.
    """
    before = pages = await pages_of(server, oid)
    goal = math.ceil(before.number * fresh)
    for _ in range(ROUNDS):
        yield f"vacuuming {pages.name}"
        took = await vacuum(server, pages.name, turn)
        began = await pages_of(server, oid)
        if began.number <= goal:
            return
        async for share in _round(server, began, goal, turn, took * 2):
            yield f"moving rows of {pages.name}: {share:.0%}"
        if not turn.has_time_for(took):  # what was moved is not lost: the next VACUUM, whoever's it is, frees it
            raise GaveWay(OUT_OF_TIME)
        await vacuum(server, pages.name, turn, analyze=True)
        pages = await pages_of(server, oid)
        if not turn.has_time_for(took * 2) and pages.number > goal:
            raise GaveWay(OUT_OF_TIME)
        if began.number - pages.number < WORTH_IT * before.number:
            return


async def _round(server: Server, pages: Pages, goal: int, turn: Turn, reserve: float) -> AsyncIterator[float]:
    """From the last page back to the goal, as long as there is room ahead and more than `reserve` seconds."""
    if pages.column is None:
        raise UpkeepError(f"{pages.name} has no column that can be written: leave it as it is.")
    mover = Mover(server, pages.name, pages.column)
    lowest = goal
    for number in range(PASSES):
        moved, at, vacuum_at = 0, pages.number, _next_vacuum(pages.number, lowest)
        while at > lowest and turn.has_time_for(reserve):
            began, first = time.monotonic(), max(lowest, at - mover.pages)
            batch = await _moved(mover, first, at, server.patience)
            at, moved = first, moved + batch.moved
            if batch.is_full:
                lowest = at  # the room ahead is used up
            if number == 0 and at < vacuum_at:
                await vacuum(server, pages.name, turn)
                vacuum_at = _next_vacuum(at, lowest)
            yield (pages.number - at) / max(1, pages.number - lowest)
            await asyncio.sleep(time.monotonic() - began)  # the disk is everybody's: half of the time is theirs alone
        if not moved:
            return


def _next_vacuum(at: int, lowest: int) -> int:
    return at - max(1, (at - lowest) // VACUUMS)


async def _moved(mover: Mover, first: int, end: int, pause: float) -> Batch:
    """A batch, tried again while somebody is in its way."""
    for _ in range(PATIENT):
        try:
            return await mover.move(first, end)
        except GaveWay:
            await asyncio.sleep(pause)
    return await mover.move(first, end)


async def vacuum(server: Server, table: str, turn: Turn, *, analyze: bool = False) -> float:
    """Remove dead rows, tell the map of free space, and give back empty pages at the end unless somebody wants the
    table just then; returns how many seconds it took."""
    began, also = time.monotonic(), ", ANALYZE" if analyze else ""
    await server.patiently(f"VACUUM (INDEX_CLEANUP ON, TRUNCATE ON, PARALLEL 0{also}) {table}", turn)
    return time.monotonic() - began


async def pages_of(server: Server, oid: int) -> Pages:
    """Of a table that is there.

    Raises:
        UpkeepError: it is there no more.
    """
    rows = await server.ask("table", oid)
    if not rows:
        raise UpkeepError("the table is there no more: there is nothing to do.")
    [row] = rows
    return Pages(row["bytes"] // row["block"], row["name"], row["column"])
