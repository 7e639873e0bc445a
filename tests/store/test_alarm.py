"""The alarm: a ring is never lost, and never harms the ringer."""

from __future__ import annotations

import asyncio
import threading

from lamplighter.store.alarm import Alarm


async def test_a_ring_before_the_sleep_ends_it_at_once() -> None:
    alarm = Alarm()
    alarm.ring()
    assert await alarm.sleep(None)


async def test_a_sleep_ends_by_itself_when_nobody_rings() -> None:
    assert not await Alarm().sleep(0)


async def test_another_thread_may_ring() -> None:
    alarm = Alarm()
    sleeping = asyncio.create_task(alarm.sleep(None))
    await asyncio.sleep(0)  # lets it fall asleep
    thread = threading.Thread(target=alarm.ring)
    thread.start()
    assert await sleeping
    thread.join()


def test_to_ring_for_a_loop_that_is_gone_does_no_harm() -> None:
    alarm = Alarm()
    asyncio.run(alarm.sleep(0))
    alarm.ring()
