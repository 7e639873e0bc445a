"""What everybody in a run lives in: one loop, one store, one network, one weather."""

from __future__ import annotations

import random

from lamplighter.core.clock import Clock
from lamplighter.store.base import Store
from lamplighter.testing.simulation.chronicle import Chronicle
from lamplighter.testing.simulation.loop import VirtualLoop
from lamplighter.testing.simulation.network import Network
from lamplighter.testing.simulation.remote import Remote
from lamplighter.testing.simulation.truth import Truth
from lamplighter.testing.simulation.weather import Weather, weather

FURTHEST_OFF = 7200.0  # seconds that a machine's clock may be off


class World:
    """Everything of one run. Each part has dice of its own, so that a change in one leaves the others as they were."""

    def __init__(self, seed: int, loop: VirtualLoop, store: Store) -> None:
        self.seed = seed
        self.loop = loop
        self.weather: Weather = weather(self.dice("weather"))
        self.chronicle = Chronicle(loop)
        self.truth = Truth(store, self.chronicle)
        self.network = Network(self.chronicle, self.weather, self.dice("network"))
        self.offsets: dict[str, float] = {}
        self._clocks = self.dice("clocks")

    def dice(self, of: str) -> random.Random:
        """Dice for one part of the run."""
        return random.Random(f"{self.seed} {of}")

    def remote(self, who: str) -> Remote:
        """The store, as a process sees it."""
        return Remote(who, self.truth, self.network, self.chronicle.now)

    def clock(self, who: str) -> Clock:
        """The clock of a process, on a machine of its own."""
        self.offsets[who] = self.draw_offset() if self.weather.wrong_clocks else 0.0
        return self.chronicle.clock(self.offsets, who)

    def draw_offset(self) -> float:
        """How far off a clock is."""
        return self._clocks.uniform(-1, 1) * self._clocks.choice((1.0, 60.0, FURTHEST_OFF))
