"""Time: a store that has a clock of its own shows it, and it goes on."""

from __future__ import annotations

from lamplighter.store.base import Store


async def test_a_clock_of_the_stores_own_goes_on(store: Store) -> None:
    first, second = await store.time(), await store.time()
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert first.tzinfo is not None
        assert first <= second
