"""Rows of a table's last pages are written anew, so that they come to lie in the room that its first ones have.

An UPDATE that changes nothing makes a new version of a row. PostgreSQL puts it into the same page as long as there is
room, and otherwise into one that its map of free space names: after a VACUUM, one of the first. So rows are updated
again within one transaction until they have left their pages; then VACUUM finds the end of the table empty, and gives
it back. Whoever reads or writes meanwhile waits for nothing but a row that is being moved, and that for no longer than
the lock timeout: rows that somebody holds are left out, and a batch is made as large as takes a fraction of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg

from lamplighter.families.upkeep.finding import GaveWay
from lamplighter.families.upkeep.postgres.server import LOCKED, OUT_OF_TIME, Server

SHARE = 8  # a batch is to take so small a part of the lock timeout
MOST_PAGES = 512  # in one batch
MOST_VERSIONS = 300  # of a row in its page, which cannot hold more

Place = tuple[int, int]
"""Of a row: its page, and its number there."""


class Batch(NamedTuple):
    """What became of the rows in some pages: `moved` ahead, or further `back`, for there was no room ahead."""

    moved: int
    back: int

    @property
    def is_full(self) -> bool:
        return self.back > self.moved


class Mover:
    """Moves the rows of one table, some pages at a time; each batch is a transaction."""

    def __init__(self, server: Server, table: str, column: str) -> None:
        self._server = server
        self._table = table
        self._update = f"UPDATE ONLY {table} SET {column} = {column} WHERE ctid = ANY ($1::tid[]) RETURNING ctid"  # noqa: S608 - quoted by the server
        self._choose = f"SELECT ctid FROM ONLY {table} WHERE ctid >= $1 AND ctid < $2 FOR NO KEY UPDATE SKIP LOCKED"  # noqa: S608 - as above
        self._aim = server.patience / SHARE
        self.pages = 8
        """In the next batch."""

    async def move(self, first: int, end: int) -> Batch:
        """Move what is in the pages from `first` to before `end`.

        Raises:
            GaveWay: it was in somebody's way, and nothing was done.
        """
        began = time.monotonic()
        try:
            async with self._server.connection.transaction(isolation="read_committed"):
                return await self._move(first, end, began)
        except asyncpg.PostgresError as error:
            self.pages = max(1, self.pages // 4)
            if error.sqlstate in {LOCKED, OUT_OF_TIME, "40P01", "40001"}:
                raise GaveWay("rows of the table were held by somebody else: it is tried again.") from error
            raise
        finally:
            self._learn(time.monotonic() - began)

    async def _move(self, first: int, end: int, began: float) -> Batch:
        connection, limit = self._server.connection, self._server.milliseconds
        await connection.execute(f"SET LOCAL statement_timeout = {limit}; SET LOCAL enable_seqscan = off")
        chosen = await connection.fetch(self._choose, (first, 0), (end, 0))
        places: list[Place] = [row["ctid"] for row in chosen]
        back = 0
        for _ in range(MOST_VERSIONS):
            if not places or time.monotonic() - began > self._server.patience / 2:
                break  # whoever waits for one of them waits for all: what is left is moved another time
            now = await self._written(places)
            back += sum(page >= end for page, _ in now)
            places = [place for place in now if first <= place[0] < end]
        return Batch(len(chosen) - back - len(places), back)

    async def _written(self, places: Sequence[Place]) -> list[Place]:
        rows: Sequence[Any] = await self._server.connection.fetch(self._update, places)
        return [row["ctid"] for row in rows]

    def _learn(self, took: float) -> None:
        if took > self._aim:
            self.pages = max(1, int(self.pages * max(0.25, self._aim / took)))
        elif took < self._aim / 2:
            self.pages = min(MOST_PAGES, self.pages * 2)
