"""Strikes workers, clocks and the store, as the weather of the run has it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from lamplighter.testing.simulation.crew import Crew, Process
from lamplighter.testing.simulation.weather import Blow
from lamplighter.testing.simulation.world import World

LONGEST_ABSENCE = 5.0  # seconds until another worker comes in place of one that is gone


class Nemesis:
    """Blow after blow, until the run grows calm."""

    def __init__(self, world: World, crew: Crew) -> None:
        self._world = world
        self._crew = crew
        self._dice: random.Random = world.dice("nemesis")
        self._under_way: list[asyncio.Task[None]] = []
        self._acts: dict[Blow, Callable[[], Awaitable[None]]] = {
            "pause": self._pause,
            "block": self._block,
            "crash": self._crash,
            "leave": self._leave,
            "outage": self._outage,
            "cut": self._cut,
            "jump": self._jump,
        }

    async def rage(self, lasts: float) -> None:
        """Strike for so long; then wait until all is mended."""
        loop, weather = self._world.loop, self._world.weather
        over = loop.time() + lasts
        while weather.blows:
            await asyncio.sleep(self._dice.expovariate(1 / weather.every))
            if loop.time() > over:
                break
            act = self._acts[self._dice.choice(weather.blows)]
            self._under_way.append(loop.spawn("world", _run(act)))
        await asyncio.sleep(max(0.0, over - loop.time()))
        if self._under_way:
            await asyncio.wait(self._under_way)
        for task in self._under_way:
            task.result()

    async def _pause(self) -> None:
        """It may miss its leases, and does not know it when it goes on."""
        await self._hold_up(aside=True, excuses=True)

    async def _block(self) -> None:
        """Its leases are renewed meanwhile, so no job may run twice for it."""
        await self._hold_up(aside=False, excuses=False)

    async def _hold_up(self, *, aside: bool, excuses: bool) -> None:
        if (process := self._pick()) is None:
            return
        with self._world.chronicle.during("pause" if aside else "block", process.name, excuses=excuses):
            process.freeze(aside=aside)
            await asyncio.sleep(self._world.weather.lease * self._dice.uniform(0.1, 2.5))
            if process in self._crew.here + self._crew.gone:  # or it has crashed meanwhile
                process.thaw()

    async def _crash(self) -> None:
        if (process := self._pick()) is None:
            return
        self._world.chronicle.fault("crash", process.name)
        self._crew.crash(process)
        await self._replace()

    async def _leave(self) -> None:
        """No fault: whoever leaves hands its jobs back."""
        if (process := self._pick()) is None:
            return
        self._crew.leave(process)
        await self._replace()

    async def _replace(self) -> None:
        await asyncio.sleep(self._dice.uniform(0, LONGEST_ABSENCE))
        self._crew.start()

    async def _outage(self) -> None:
        network = self._world.network
        if network.is_down:
            return
        with self._world.chronicle.during("outage"):
            network.is_down = True
            await asyncio.sleep(self._world.weather.lease * self._dice.uniform(0.1, 2))
            network.is_down = False
            # Who renewed nothing meanwhile has a while to do so, and those that noticed wait that long.
            await asyncio.sleep(self._world.weather.lease)

    async def _cut(self) -> None:
        process = self._pick()
        if process is None or process.name in self._world.network.cut:
            return
        with self._world.chronicle.during("cut", process.name):
            self._world.network.cut.add(process.name)
            await asyncio.sleep(self._world.weather.lease * self._dice.uniform(0.1, 2.5))
            self._world.network.cut.discard(process.name)
            await asyncio.sleep(self._world.weather.lease)

    async def _jump(self) -> None:
        """No fault: a clock that was set by the store's goes on by what passes."""
        self._world.offsets[self._dice.choice(sorted(self._world.offsets))] = self._world.draw_offset()

    def _pick(self) -> Process | None:
        return self._dice.choice(self._crew.here) if self._crew.here else None


async def _run(act: Callable[[], Awaitable[None]]) -> None:
    await act()
