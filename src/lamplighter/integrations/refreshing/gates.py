"""This process's gates, one for each provider: the way to a permit to send one request."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from lamplighter.core.clock import Clock
from lamplighter.integrations.provider import Provider
from lamplighter.integrations.refreshing.breaker import BreakerState, Gate
from lamplighter.integrations.refreshing.outcome import Shut, Wait
from lamplighter.integrations.refreshing.schedule import LONGEST_PAUSE, Dice

SHORT = timedelta(seconds=0.25)  # a wait up to this is slept here: to give a job back and claim it again costs more
ROUNDS = 3  # of sleeping, before a wait counts as long


class _Door:
    def __init__(self, provider: Provider, longest_pause: timedelta) -> None:
        self.limits = (provider.max_per_second, provider.max_concurrency)
        self.gate = Gate(provider, longest_pause)
        self.slots = asyncio.Semaphore(provider.max_concurrency)


class Permit:
    """One request may be sent while this is entered. Say what came of it; otherwise it counts as not sent."""

    def __init__(self, door: _Door, clock: Clock, *, is_probe: bool) -> None:
        self.answered: bool | None = None  # whether the provider did; None: it was not asked
        self._door = door
        self._clock = clock
        self._is_probe = is_probe

    def succeeded(self) -> None:
        """The provider answered, whatever it said."""
        self.answered = True
        self._door.gate.succeeded(self._clock())

    def failed(self, retry_after: timedelta | None = None) -> None:
        """The provider is down, or asked to be left alone for `retry_after`."""
        self.answered = False
        self._door.gate.failed(self._clock(), retry_after, is_probe=self._is_probe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.answered is None and self._is_probe:
            self._door.gate.withdraw(self._clock())
        self._door.slots.release()


class Gates:
    """Breaker, pace and concurrency of each provider, for one event loop of one process."""

    def __init__(self, clock: Clock, random: Dice, *, longest_pause: timedelta = LONGEST_PAUSE) -> None:
        self._clock = clock
        self._random = random
        self._longest_pause = longest_pause
        self._doors: dict[str, _Door] = {}

    async def admit(self, provider: Provider, key: str) -> Permit:
        """A permit to enter at once.

        Raises:
            Shut: the provider is down.
            Wait: it is asked as often as it bears. If the pace made it wait, the moment is kept for this key.
        """
        door = self._door(provider)
        await self._pass_gate(door, provider, key)
        is_probe = door.gate.breaker.state is BreakerState.HALF_OPEN  # which lets through one only
        try:
            await self._take_slot(door, provider)
        except BaseException:
            if is_probe:
                door.gate.withdraw(self._clock())
            raise
        return Permit(door, self._clock, is_probe=is_probe)

    def shut_for(self, provider: Provider) -> timedelta | None:
        """How long the provider is still left alone, because it is down or asked for that; None: it is not."""
        return self._door(provider).gate.breaker.wait(self._clock())

    def follow(self, provider: Provider, shut_until: datetime | None) -> None:
        """What all processes know of the provider: it is left alone until then, or it is not."""
        self._door(provider).gate.breaker.follow(shut_until)

    def _door(self, provider: Provider) -> _Door:
        door = self._doors.get(provider.slug)
        if door is None or door.limits != (provider.max_per_second, provider.max_concurrency):
            door = self._doors[provider.slug] = _Door(provider, self._longest_pause)
        return door

    async def _pass_gate(self, door: _Door, provider: Provider, key: str) -> None:
        for _ in range(ROUNDS):
            if (shut_for := self.shut_for(provider)) is not None:
                raise Shut(
                    f"{provider.display_name} is down or asked to be left alone: wait until it is back.", shut_for
                )
            wait = door.gate.admit(self._clock(), key)
            if wait is None:
                return
            if wait > SHORT:
                break
            await asyncio.sleep(wait.total_seconds())
        else:
            wait = SHORT
        raise Wait(f"{provider.display_name} is asked as often as it bears: wait.", wait)

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
