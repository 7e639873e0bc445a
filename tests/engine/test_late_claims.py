"""A claim whose answer comes late: its leases may be over by then, and other workers may have begun its jobs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.engine.doubles import Unreliable
from tests.engine.waits import until

from lamplighter import App, Ctx, State
from lamplighter.core.config import Settings
from lamplighter.store.base import Store
from lamplighter.store.open import open_store
from lamplighter.testing import FakeClock

LEASE = timedelta(seconds=30)


class Late(Unreliable):
    """Its first claim that gets jobs is answered late; `taken`: after another worker has got them."""

    def __init__(self, store: Store, clock: FakeClock, late: timedelta, *, taken: bool) -> None:
        super().__init__(store)
        self.attempts: list[tuple[str, int]] = []
        self._clock = clock
        self._late = late
        self._taken = taken

    async def claim(self, *args: Any, **kwargs: Any) -> Any:
        claimed = await self.behind.claim(*args, **kwargs)
        if claimed and self._late:
            self._clock.advance(self._late)
            self._late = timedelta()
            if self._taken:
                await self.behind.sweep(10, now=self._clock())
                while not await self.behind.claim([], 10, worker="another", lease=LEASE, now=self._clock()):
                    pass  # a sweep of the worker under test has the row locked at this moment
        return claimed


@pytest.mark.parametrize("taken", [True, False], ids=["begun by another", "still ours"])
async def test_only_what_is_still_ours_is_begun(url: str, clock: FakeClock, taken: bool) -> None:
    store = Late(open_store(url), clock, LEASE * 0.9 if not taken else LEASE * 2, taken=taken)
    app = App(store.as_store, settings=Settings(), clock=clock)
    ran: list[int] = []

    @app.job()
    async def note(ctx: Ctx[None], n: int) -> None:
        ran.append(n)

    async with app:
        first = await note.enqueue(1)
        async with app.worker(lease=LEASE):
            await until(first, lambda view: view.fence == 2) if taken else await first.result(30)
            await (await note.enqueue(2)).result(30)
        view = await first.view()
    assert ran == ([2] if taken else [1, 2])
    assert (view.state, view.fence) == ((State.RUNNING, 2) if taken else (State.DONE, 1))


async def test_a_late_answer_renews_the_leases_of_what_is_begun(url: str, clock: FakeClock) -> None:
    store = Late(open_store(url), clock, LEASE * 0.9, taken=False)
    app = App(store.as_store, settings=Settings(), clock=clock)
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.job()
    async def hold(ctx: Ctx[None]) -> None:
        begun.set()
        await go_on.wait()

    async with app:
        handle = await hold.enqueue()
        async with app.worker(lease=LEASE):
            await begun.wait()
            view = await handle.view()
            go_on.set()
    assert view.lease_until == clock() + LEASE
