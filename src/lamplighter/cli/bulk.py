"""What is done to many jobs at once: only looked at, unless it is said to be meant."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from lamplighter.app.tree import cancel_tree
from lamplighter.core.model import LIVE, Cancelled, State, Where
from lamplighter.store.base import Store

AT_ONCE = 1000  # jobs in one transaction

Act = Callable[[Store, Where, int], Awaitable[list[str]]]


async def count_matching(store: Store, where: Where, among: frozenset[State], limit: int) -> int:
    """How many jobs match and are in one of these states, up to the limit."""
    return sum([len(ids) async for ids in _pages(store, where, among, limit)])


async def do_to_all(store: Store, where: Where, among: frozenset[State], limit: int, act: Act) -> list[str]:
    """Do it to all of them, a batch at a time; returns to whom it was done.

    They are gone through once, by id: what still matches afterwards, such as a running job that was asked to stop, is
    not asked again and again.
    """
    touched: list[str] = []
    async for ids in _pages(store, where, among, limit):
        touched += await act(store, replace(where, ids=tuple(ids)), len(ids))
        tell(f"{len(touched):,} jobs so far")
    return touched


async def _pages(store: Store, where: Where, among: frozenset[State], limit: int) -> AsyncIterator[list[str]]:
    states = among.intersection(where.states) if where.states else among
    which = replace(where, states=tuple(sorted(states)))
    before: str | None = None
    while states and limit > 0:
        views = await store.page(which, limit=min(AT_ONCE, limit), before=before)
        if not views:
            return
        yield [view.id for view in views]
        before, limit = views[-1].id, limit - len(views)


class Cancelling:
    """Cancels, and remembers whom; what it ends is kept for so long."""

    def __init__(self, now: datetime, keep: timedelta) -> None:
        self.gone = Cancelled([], [])
        self._now = now
        self._keep_until = now + keep

    async def all(self, store: Store, where: Where, limit: int) -> None:
        """All that match."""
        await do_to_all(store, where, LIVE, limit, self._cancel)

    async def trees(self, store: Store, where: Where) -> None:
        """These jobs, and all that hangs below them."""
        for root in where.ids:
            gone = await cancel_tree(store, root, now=self._now, keep_until=self._keep_until, told=_tell_tree)
            self._add(gone)

    async def _cancel(self, store: Store, where: Where, limit: int) -> list[str]:
        gone = await store.cancel(where, limit=limit, now=self._now, keep_until=self._keep_until)
        self._add(gone)
        return [*gone.ended, *gone.asked]

    def _add(self, gone: Cancelled) -> None:
        self.gone.ended.extend(gone.ended)
        self.gone.asked.extend(gone.asked)


def _tell_tree(gone: Cancelled) -> None:
    tell(f"{len(gone.ended) + len(gone.asked):,} jobs so far")


def tell(progress: str) -> None:
    """How far it is, for who looks on."""
    if sys.stderr.isatty():
        print(f"\r{progress}", end="\r", file=sys.stderr, flush=True)
