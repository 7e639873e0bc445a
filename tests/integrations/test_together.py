from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from lamplighter.core.errors import StoreUnavailable
from lamplighter.integrations.refreshing.together import Together

AROUND: ContextVar[str] = ContextVar("around", default="nothing")


class Database:
    """Doubles numbers, one batch after the other, each when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.contexts: list[str] = []
        self.away = False
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.contexts.append(AROUND.get())
        self.asked.set()
        await self.let.wait()
        if self.away:
            raise StoreUnavailable("it is away.")
        if 13 in numbers:
            raise ValueError("no thirteen.")
        return [2 * number for number in numbers]


async def test_what_waits_while_a_batch_is_under_way_is_the_next() -> None:
    database = Database()
    doubled = Together(database.double)
    first = asyncio.create_task(doubled.one(0))
    await database.asked.wait()
    others = [asyncio.create_task(doubled.one(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    database.let.set()
    assert await asyncio.gather(first, *others) == [0, 2, 4, 6]
    assert database.batches == [[0], [1, 2, 3]]
    assert await doubled.one(4) == 8


async def test_one_that_fails_fails_alone() -> None:
    database = Database()
    database.let.set()
    doubled = Together(database.double)
    answers = await asyncio.gather(*(doubled.one(number) for number in (1, 13, 2)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["2", "no thirteen.", "4"]
    assert database.batches == [[1, 13, 2], [1], [13], [2]]


async def test_a_database_that_is_away_is_not_asked_for_each_of_them() -> None:
    database = Database()
    database.away = True
    database.let.set()
    doubled = Together(database.double)
    answers = await asyncio.gather(*(doubled.one(number) for number in (1, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert database.batches == [[1, 2]]


async def test_who_no_longer_waits_is_passed_over_and_the_others_are_served() -> None:
    database = Database()
    doubled = Together(database.double)
    first = asyncio.create_task(doubled.one(0))
    await database.asked.wait()
    gone, stays = asyncio.create_task(doubled.one(1)), asyncio.create_task(doubled.one(2))
    await asyncio.sleep(0)
    gone.cancel()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    database.let.set()
    assert await stays == 4
    assert database.batches == [[0], [2]]


async def test_a_batch_runs_in_the_context_of_none_who_ask() -> None:
    database = Database()
    database.let.set()
    AROUND.set("a job")
    assert await Together(database.double).one(1) == 2
    assert database.contexts == ["nothing"]
