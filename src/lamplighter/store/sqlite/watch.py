"""Hints that jobs may have changed: here at once, and from other processes by looking at the file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from lamplighter.store.alarm import Alarm

# Seconds between looks. Just after a change the next is near, and 2 ms are little beside the commit that comes first;
# shorter makes no difference that can be measured. Fifty looks a second in quiet times are 1 % of a core.
QUICKEST, LAZIEST = 0.002, 0.02
SLACKENING = 1.01  # from one look to the next: it takes some 2 s to become the laziest


class Watch:
    """Many may listen, and one of them in each event loop looks and tells the others, for looking costs more."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look  # a number that is another after a change
        self._listeners: dict[Alarm, asyncio.AbstractEventLoop] = {}
        self._lookers: dict[asyncio.AbstractEventLoop, Alarm] = {}
        self._seen: dict[asyncio.AbstractEventLoop, int] = {}

    async def listen(self) -> AsyncIterator[None]:
        """Yields soon after a change."""
        alarm, loop = Alarm(), asyncio.get_running_loop()
        self._listeners[alarm] = loop
        try:
            if loop not in self._seen:
                self._seen[loop] = self._look()
            while True:
                if self._lookers.setdefault(loop, alarm) is alarm:
                    await self._until_changed(alarm, loop)
                    self._ring(loop, but=alarm)
                else:
                    await alarm.sleep(None)
                yield
        finally:
            self._leave(alarm, loop)

    def ring(self) -> None:
        """Something was changed here."""
        for alarm in tuple(self._listeners):
            alarm.ring()

    def _ring(self, loop: asyncio.AbstractEventLoop, but: Alarm | None = None) -> None:
        for alarm, its_loop in tuple(self._listeners.items()):
            if its_loop is loop and alarm is not but:
                alarm.ring()

    async def _until_changed(self, alarm: Alarm, loop: asyncio.AbstractEventLoop) -> None:
        interval = QUICKEST
        while True:
            rung = await alarm.sleep(interval)
            # what was seen last outlives the hint: a change while a listener acts on one must not be missed
            before, self._seen[loop] = self._seen[loop], self._look()
            if rung or self._seen[loop] != before:
                return
            interval = min(LAZIEST, interval * SLACKENING)

    def _leave(self, alarm: Alarm, loop: asyncio.AbstractEventLoop) -> None:
        del self._listeners[alarm]
        if self._lookers.get(loop) is alarm:
            del self._lookers[loop]
            self._ring(loop)  # another must look now
        if loop not in self._listeners.values():
            self._seen.pop(loop, None)
