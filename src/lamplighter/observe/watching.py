"""Watches the event loop of a worker: what blocks it holds up every job on it, and is seen nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from lamplighter.observe.meter import Meter, Working

EVERY = 1.0  # seconds


@asynccontextmanager
async def watching(meter: Meter, worker: Working) -> AsyncIterator[None]:
    """Count the worker among those of this process, and how late its loop lets go on what has its time."""
    task = asyncio.create_task(_lag(meter), name="lamplighter-lag")
    try:
        with meter.working(worker):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _lag(meter: Meter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        meter.lagged(loop.time() - due)
