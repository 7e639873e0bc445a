"""One read for all who ask at the same time."""

from __future__ import annotations

import asyncio

import pytest

from lamplighter.store.postgres.together import Together


class Slow:
    """A read that ends when it is told to, and counts how often it began."""

    def __init__(self) -> None:
        self.began = 0
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.began += 1
        mine = self.began
        self.started.set()
        await self.may_end.wait()
        return mine


async def test_who_asks_while_a_read_is_under_way_shares_the_next_one() -> None:
    together, slow = Together(), Slow()
    first = asyncio.create_task(together.read("stats", slow))
    await slow.started.wait()
    later = [asyncio.create_task(together.read("stats", slow)) for _ in range(50)]
    await asyncio.sleep(0)  # all of them ask
    slow.may_end.set()
    assert await first == 1
    assert set(await asyncio.gather(*later)) == {2}
    assert await together.read("stats", slow) == 3  # nothing is remembered


async def test_a_reader_that_is_cancelled_leaves_the_others_waiting() -> None:
    together, slow = Together(), Slow()
    impatient, patient = (asyncio.create_task(together.read("stats", slow)) for _ in range(2))
    await slow.started.wait()
    impatient.cancel()
    slow.may_end.set()
    assert await patient == 1


async def test_a_read_that_fails_fails_for_all_who_wait_for_it_and_not_for_the_next() -> None:
    async def fail() -> None:
        raise OSError("gone")

    together = Together()
    for outcome in await asyncio.gather(*(together.read("stats", fail) for _ in range(3)), return_exceptions=True):
        assert isinstance(outcome, OSError)
    slow = Slow()
    slow.may_end.set()
    with pytest.raises(OSError, match="gone"):
        await together.read("stats", fail)
    assert await together.read("stats", slow) == 1
