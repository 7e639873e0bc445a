"""Side by side, or one alone: files that may have taken a worker down are read while it reads nothing else.

Else those that are read beside such a file, and go down with it each time, would be taken for its like.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Alone:
    """Lets in any number, or one alone; who wants to be alone does not wait for those who come later."""

    def __init__(self) -> None:
        self._inside = 0
        self._wanting = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def entered(self, *, alone: bool) -> AsyncIterator[None]:
        """Inside."""
        room = _ALL if alone else 1
        async with self._changed:
            self._wanting += alone
            try:
                await self._changed.wait_for(lambda: self._inside == 0 if alone else self._is_open())
            finally:
                self._wanting -= alone
            self._inside += room
        try:
            yield
        finally:
            async with self._changed:
                self._inside -= room
                self._changed.notify_all()

    def _is_open(self) -> bool:
        return self._inside < _ALL and not self._wanting


_ALL = 1 << 32
