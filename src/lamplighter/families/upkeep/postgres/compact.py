"""Shrinking a table while it is in use, without an extension and without the exclusive lock of VACUUM FULL."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

from lamplighter.families.upkeep.finding import GaveWay, UpkeepError
from lamplighter.families.upkeep.postgres.moving import Batch, Mover
from lamplighter.families.upkeep.postgres.server import Server
from lamplighter.families.upkeep.turn import Turn

LEAST_BETWEEN = 1000  # pages from one of them to the next
VACUUMS = 4  # of a table, at most so many in one round: each reads all of its indexes
PASSES = 3  # over the pages of a round: rows that somebody held the first time
ROUNDS = 6
ROOM = 1.03  # times what is estimated: a page is never filled to its last byte
WORTH_IT = 0.02  # of a table: a round that frees less is the last
OUT_OF_TIME = "the time was over: it goes on the next time where it is now."
NOT_YET = "what was moved cannot be freed yet, for transactions are open that began before: it goes on the next time."
FEW = 100  # rows: those that somebody put at the end meanwhile
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
    pages = await pages_of(server, oid)
    before, goal = pages.number, math.ceil(pages.number * fresh * ROOM)
    yield f"vacuuming {pages.name}"
    took = await _vacuum_at_last(server, pages.name, turn)
    for _ in range(ROUNDS):
        pages = await pages_of(server, oid)
        if pages.number <= goal:
            return
        way = _Way(server, pages, goal, turn, reserve=2 * took)
        async for share in way.back():
            yield f"moving rows of {pages.name}: {share:.0%}"
        if not turn.has_time_for(took):  # what was moved is not lost: the next VACUUM, whoever's it is, frees it
            raise GaveWay(OUT_OF_TIME)
        await server.until_seen_by_all(turn)
        took = await _vacuum_at_last(server, pages.name, turn, analyze=True)
        left = await pages_of(server, oid)
        if left.number > goal and not turn.has_time_for(2 * took):
            raise GaveWay(OUT_OF_TIME)
        if pages.number - left.number < WORTH_IT * before and not way.is_full:
            if way.moved > FEW:
                raise GaveWay(NOT_YET)
            return


class _Way:
    """The way from a table's last page back to the goal. `reserve`: seconds that are to be left for what follows."""

    def __init__(self, server: Server, pages: Pages, goal: int, turn: Turn, *, reserve: float) -> None:
        if pages.column is None:
            raise UpkeepError(f"{pages.name} has no column that can be written: leave it as it is.")
        self.moved = 0
        self.is_full = False
        """Whether the room ahead was used up, so that rows went to the end: what they left is room for the next way."""
        self._server = server
        self._pages = pages
        self._goal = goal
        self._turn = turn
        self._reserve = reserve
        self._mover = Mover(server, pages.name, pages.column)

    async def back(self) -> AsyncIterator[float]:
        """Go it, as long as there is room ahead, and once more for the rows that somebody held; tells how far it is."""
        between = max(LEAST_BETWEEN, (self._pages.number - self._goal) // VACUUMS)
        for number in range(PASSES):
            at, moved, vacuum_at = self._pages.number, self.moved, self._pages.number - between
            while at > self._goal and self._turn.has_time_for(self._reserve):
                began, end = time.monotonic(), at
                at = max(self._goal, at - self._mover.pages)
                batch = await self._move(at, end)
                self.moved += batch.moved
                if batch.is_full:
                    self.is_full = True
                    return
                if number == 0 and at < vacuum_at:  # so that what grows meanwhile finds room in what was left
                    with suppress(GaveWay):  # the next one frees it
                        await vacuum(self._server, self._pages.name, self._turn)
                    vacuum_at = at - between
                yield (self._pages.number - at) / max(1, self._pages.number - self._goal)
                await asyncio.sleep(time.monotonic() - began)  # the disk is everybody's: half of the time is theirs
            if self.moved == moved:
                return

    async def _move(self, first: int, end: int) -> Batch:
        """A batch, tried again while somebody is in its way."""
        for _ in range(PATIENT):
            try:
                return await self._mover.move(first, end)
            except GaveWay:
                await asyncio.sleep(self._server.patience)
        return await self._mover.move(first, end)


async def _vacuum_at_last(server: Server, table: str, turn: Turn, *, analyze: bool = False) -> float:
    """The same, tried again while somebody is in its way."""
    for _ in range(VACUUMS):
        try:
            return await vacuum(server, table, turn, analyze=analyze)
        except GaveWay:
            if turn.is_over:
                raise
            await asyncio.sleep(server.patience)
    return await vacuum(server, table, turn, analyze=analyze)


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
