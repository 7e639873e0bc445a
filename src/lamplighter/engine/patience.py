"""What the loops of a worker do while the store is away: wait, say so once, and come back."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lamplighter.core.errors import StoreUnavailable

T = TypeVar("T")

FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 5.0

_log = logging.getLogger("lamplighter.worker")


async def until_available(step: Callable[[], Awaitable[T]], what: str) -> T:
    """The step's answer, tried again with growing pauses while the store is unavailable."""
    pause = 0.0
    while True:
        try:
            answer = await step()
        except StoreUnavailable as error:
            if not pause:
                _log.warning("Cannot %s for now, trying on: %s", what, error)
            pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, pause * 2))
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that workers do not come back at once
        else:
            if pause:
                _log.warning("The store is back: can %s again.", what)
            return answer
