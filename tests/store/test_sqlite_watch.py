"""Listening for changes: many may listen to one file, and one of them looks at it."""

from __future__ import annotations

import asyncio

import pytest

from lamplighter.core.errors import StoreUnavailable
from lamplighter.store.sqlite import SqliteStore
from lamplighter.store.sqlite.watch import Watch


class File:
    """A file whose version a test changes, and who looked at it."""

    def __init__(self) -> None:
        self.version = 1
        self.lookers: list[asyncio.Task[None] | None] = []
        self.looked = asyncio.Event()

    def look(self) -> int:
        self.lookers.append(asyncio.current_task())
        self.looked.set()
        return self.version

    async def looks(self, times: int) -> None:
        for _ in range(times):
            self.looked.clear()
            await self.looked.wait()


class Listener:
    def __init__(self, watch: Watch) -> None:
        self.hints: asyncio.Queue[None] = asyncio.Queue()
        self.task = asyncio.create_task(self._listen(watch))

    async def _listen(self, watch: Watch) -> None:
        async for _ in watch.listen():
            self.hints.put_nowait(None)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_of_many_who_listen_one_looks_and_tells_the_others() -> None:
    file = File()
    watch = Watch(file.look)
    listeners = [Listener(watch) for _ in range(50)]
    await file.looks(5)
    assert len(set(file.lookers)) == 1
    file.version = 2
    await asyncio.gather(*(listener.hints.get() for listener in listeners))
    await file.looks(5)
    assert len(set(file.lookers)) == 1
    for listener in listeners:
        await listener.leave()


async def test_when_the_one_who_looks_leaves_another_looks() -> None:
    file = File()
    watch = Watch(file.look)
    first, second = Listener(watch), Listener(watch)
    await file.looks(2)
    await first.leave()
    await second.hints.get()  # a hint that the looking was handed over
    await file.looks(2)
    assert file.lookers[-1] is second.task
    file.version = 2
    await second.hints.get()
    await second.leave()


async def test_a_change_while_a_listener_is_busy_is_told_next() -> None:
    file = File()
    hints = Watch(file.look).listen()
    first = asyncio.ensure_future(anext(hints))
    await file.looks(1)
    file.version = 2
    await first
    file.version = 3  # nobody looks at this moment
    await anext(hints)


async def test_nobody_looks_when_nobody_listens() -> None:
    file = File()
    watch = Watch(file.look)
    listener = Listener(watch)
    await file.looks(1)
    await listener.leave()
    seen = len(file.lookers)
    watch.ring()
    again = Listener(watch)
    await file.looks(1)
    assert set(file.lookers[seen:]) == {again.task}
    await again.leave()


async def test_who_listens_to_a_store_that_is_closed_hears_of_it(store: SqliteStore) -> None:
    listening = asyncio.ensure_future(anext(store.wake()))
    await asyncio.sleep(0)  # lets it begin
    await store.__aexit__()
    with pytest.raises(StoreUnavailable, match="not open"):
        await listening
