"""Where a worker does what must go on while its event loop is blocked: in a thread of its own, with its own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Work = Callable[[], Coroutine[Any, Any, None]]


class Aside(Protocol):
    """Runs one piece of work beside the loop that starts it. A simulation has no threads, and brings its own."""

    def start(self, work: Work) -> None:
        """Begin."""

    async def ended(self, patience: float) -> None:
        """Wait for the end, but no longer than so many seconds."""


class InThread:
    """A daemon thread with an event loop: what blocks the worker's loop does not hold it up."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self, work: Work) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(work()), name="lamplighter-leases", daemon=True)
        self._thread.start()

    async def ended(self, patience: float) -> None:
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, patience)
