"""This process's gates, one for each provider: the way to a permit to send one request."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Self

from lamplighter.core.clock import Clock
from lamplighter.integrations.breaker import Gate
from lamplighter.integrations.outcome import Wait
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.schedule import Dice

SHORT = timedelta(seconds=0.25)  # a wait up to this is slept here: to give a job back and claim it again costs more
ROUNDS = 3  # of sleeping, before a wait counts as long


class _Door:
    def __init__(self, provider: Provider) -> None:
        self.limits = (provider.max_per_second, provider.max_concurrency)
        self.gate = Gate(provider)
        self.slots = asyncio.Semaphore(provider.max_concurrency)


class Permit:
    """One request may be sent while this is entered. Say what came of it; otherwise it counts as not sent."""

    def __init__(self, door: _Door, clock: Clock) -> None:
        self._door = door
        self._clock = clock
        self._reported = False

    def succeeded(self) -> None:
        """The provider answered, whatever it said."""
        self._reported = True
        self._door.gate.succeeded(self._clock())

    def failed(self, retry_after: timedelta | None = None) -> None:
        """The provider is down, or asked to be left alone for `retry_after`."""
        self._reported = True
        self._door.gate.failed(self._clock(), retry_after)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._reported:
            self._door.gate.withdraw(self._clock())
        self._door.slots.release()


class Gates:
    """Breaker, pace and concurrency of each provider, for one event loop of one process."""

    def __init__(self, clock: Clock, random: Dice) -> None:
        self._clock = clock
        self._random = random
        self._doors: dict[str, _Door] = {}

    async def admit(self, provider: Provider, key: str) -> Permit:
        """A permit to enter at once. Raises Wait, whose moment is kept for this key if the pace made it wait."""
        door = self._door(provider)
        await self._pass_gate(door, provider, key)
        try:
            await self._take_slot(door, provider)
        except BaseException:
            door.gate.withdraw(self._clock())
            raise
        return Permit(door, self._clock)

    def is_shut(self, provider: Provider) -> bool:
        """Whether the provider's breaker is open: it is down, or asked to be left alone."""
        return self._door(provider).gate.breaker.wait(self._clock()) is not None

    def _door(self, provider: Provider) -> _Door:
        door = self._doors.get(provider.slug)
        if door is None or door.limits != (provider.max_per_second, provider.max_concurrency):
            door = self._doors[provider.slug] = _Door(provider)
        return door

    async def _pass_gate(self, door: _Door, provider: Provider, key: str) -> None:
        for _ in range(ROUNDS):
            wait = door.gate.admit(self._clock(), key)
            if wait is None:
                return
            if wait > SHORT:
                break
            await asyncio.sleep(wait.total_seconds())
        else:
            wait = SHORT
        raise Wait(f"{provider.display_name} is not asked now: its limits or an outage say to wait.", wait)

    async def _take_slot(self, door: _Door, provider: Provider) -> None:
        if not door.slots.locked():
            await door.slots.acquire()  # at once
            return
        try:
            async with asyncio.timeout(SHORT.total_seconds()):
                await door.slots.acquire()
        except TimeoutError:
            wait = SHORT + self._random() * SHORT * 3
            raise Wait(f"{provider.display_name} is asked as much at once as it bears: wait.", wait) from None
