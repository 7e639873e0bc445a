"""What is done to many jobs at once: to all that match, a batch at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec.structs import replace

from lamplighter.core.model import State, Where
from lamplighter.store.base import Store

AT_ONCE = 1000  # jobs in one transaction

Act = Callable[[Store, Where, int], Awaitable[list[str]]]


async def count_matching(store: Store, where: Where, among: frozenset[State], limit: int) -> int:
    """How many jobs match and are in one of these states, up to the limit.

    Of whole queues that is counted already; else it costs a page of the store for each thousand.
    """
    states = among.intersection(where.states) if where.states else among
    if where == Where(queues=where.queues, states=where.states):
        counted = [one for one in await store.stats() if not where.queues or one.queue in where.queues]
        found: int = sum(getattr(one, state) for one in counted for state in states)
        return min(limit, found)
    return sum([len(some.ids) async for some in batches(store, where, among, limit)])


async def do_to_all(
    store: Store,
    where: Where,
    among: frozenset[State],
    limit: int,
    act: Act,
    *,
    told: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Do it to all of them, a batch at a time; returns to whom it was done. `told` hears how many, after each batch."""
    touched: list[str] = []
    async for some in batches(store, where, among, limit):
        touched += await act(store, some, len(some.ids))
        told(len(touched))
    return touched


async def batches(
    store: Store, where: Where, among: frozenset[State], limit: int, *, size: int = AT_ONCE
) -> AsyncIterator[Where]:
    """The ids of those that match and are in one of these states, some at a time, with what they matched.

    They are gone through once, by id: what still matches afterwards, such as a running job that was asked to stop, is
    not met again and again.
    """
    states = among.intersection(where.states) if where.states else among
    which = replace(where, states=tuple(sorted(states)))
    before: str | None = None
    while states and limit > 0:
        views = await store.page(which, limit=min(size, limit), before=before)
        if not views:
            return
        yield replace(where, ids=tuple(view.id for view in views))
        before, limit = views[-1].id, limit - len(views)
