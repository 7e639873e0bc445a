"""What belongs to an event loop is opened there once, and closed there before the loop is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lamplighter.store.per_loop import PerLoop

SOON = 10  # seconds


class Things:
    """Counts what is opened and closed, and in which loop."""

    def __init__(self) -> None:
        self.opened: list[asyncio.AbstractEventLoop] = []
        self.closed: list[asyncio.AbstractEventLoop] = []
        self.fail = False

    @asynccontextmanager
    async def make(self) -> AsyncIterator[int]:
        await asyncio.sleep(0)
        if self.fail:
            raise OSError("no")
        self.opened.append(asyncio.get_running_loop())
        try:
            yield len(self.opened)
        finally:
            await asyncio.sleep(0)
            self.closed.append(asyncio.get_running_loop())


@pytest.fixture
def things() -> Things:
    return Things()


async def test_all_who_ask_in_a_loop_get_the_same_one(things: Things) -> None:
    each = PerLoop(things.make)
    assert set(await asyncio.gather(*(each.here() for _ in range(5)))) == {await each.here()} == {1}
    await each.close()
    assert things.closed == things.opened == [asyncio.get_running_loop()]


async def test_after_closing_it_is_opened_anew(things: Things) -> None:
    each = PerLoop(things.make)
    await each.here()
    await each.close()
    assert await each.here() == 2
    await each.close()


async def test_it_is_closed_before_the_loop_that_used_it_is(things: Things) -> None:
    each = PerLoop(things.make)
    await asyncio.to_thread(lambda: asyncio.run(each.here()))
    assert len(things.opened) == 1
    assert things.closed == things.opened
    await each.close()


async def test_one_in_the_loop_of_another_thread_is_closed_there(things: Things) -> None:
    each = PerLoop(things.make)
    asked, over = threading.Event(), threading.Event()

    async def use() -> None:
        await each.here()
        asked.set()
        await asyncio.to_thread(over.wait, SOON)

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    assert await asyncio.to_thread(asked.wait, SOON)
    await each.close()
    assert things.closed == things.opened != [asyncio.get_running_loop()]
    over.set()
    await asyncio.to_thread(thread.join)


async def test_who_cannot_open_it_is_told_why_and_may_try_again(things: Things) -> None:
    each = PerLoop(things.make)
    things.fail = True
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            await each.here()
    things.fail = False
    assert await each.here() == 1
    await each.close()


async def test_one_who_gives_up_waiting_disturbs_no_other(things: Things) -> None:
    each = PerLoop(things.make)
    first, second = asyncio.ensure_future(each.here()), asyncio.ensure_future(each.here())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    await each.close()
