"""What the charts of the dashboard are drawn from."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from lamplighter.core.model import QueueStats
from lamplighter.store.base import Store
from lamplighter.store.memory import MemoryStore
from lamplighter.testing import FakeClock
from lamplighter.web.pages.history import History, Span

START = datetime(2026, 3, 1, tzinfo=UTC)


def history() -> History:
    return History(cast(Store, None), FakeClock())


def stats(waiting: int) -> list[QueueStats]:
    return [QueueStats(queue="mail", paused=False, queued=waiting), QueueStats(queue="late", paused=False, failed=1)]


def test_samples_are_sums_over_all_queues() -> None:
    past = history()
    past.note(stats(4), START)
    assert past.columns("15m", START) == [[int(START.timestamp())], [4], [0], [0], [1]]


def test_each_step_takes_one_sample() -> None:
    past = history()
    for second in range(10):
        past.note(stats(second), START + timedelta(seconds=second))
    assert past.columns("15m", START + timedelta(seconds=10))[1] == [0, 5]
    assert past.columns("24h", START + timedelta(seconds=10))[1] == [0]


def test_time_in_which_nobody_looked_is_a_gap() -> None:
    past = history()
    past.note(stats(1), START)
    past.note(stats(2), START + timedelta(seconds=10))
    past.note(stats(3), START + timedelta(minutes=5))
    assert past.columns("15m", START + timedelta(minutes=5))[1] == [1, 2, None, 3]


@pytest.mark.parametrize(("span", "most"), [("15m", 180), ("24h", 288), ("7d", 336)])
def test_no_ring_grows_beyond_its_span(span: Span, most: int) -> None:
    past = history()
    for number in range(2 * most):
        past.note(stats(number), START + timedelta(minutes=30 * number))
    assert len(past._rings[span]._samples) == most


def test_what_is_older_than_the_span_is_not_drawn() -> None:
    past = history()
    past.note(stats(1), START)
    assert past.columns("15m", START + timedelta(minutes=16)) == [[], [], [], [], []]


async def test_it_samples_by_itself_while_the_app_is_open() -> None:
    clock = FakeClock()
    async with MemoryStore() as store:
        past = History(store, clock)
        async with past.sampling():
            async with asyncio.timeout(30):
                while not past.columns("15m", clock())[0]:  # noqa: ASYNC110 - it has the loop to itself
                    await asyncio.sleep(0)
        assert past.columns("15m", clock())[1] == [0]
