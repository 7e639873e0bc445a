"""What one run is like, drawn from its seed: how slow and how faulty the way to the store is, and what befalls workers.

Each run has only some of the faults (swarm testing, Groce et al., ISSTA 2012): where all happen at once, each excuses
what another one brought to light.
"""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from msgspec import Struct

Blow = Literal["pause", "block", "crash", "leave", "outage", "cut", "jump"]

BLOWS: tuple[Blow, ...] = (
    "pause",  # a worker stands still, for longer than its lease or not
    "block",  # a handler blocks its worker's loop, while leases are renewed aside
    "crash",  # a worker is gone at once, and another comes in its place
    "leave",  # a worker is told to stop, and another comes in its place
    "outage",  # nobody reaches the store
    "cut",  # one process does not reach the store
    "jump",  # the wall clock of a machine is set
)
PATIENCE = 2.0  # seconds after which an answer is not waited for any longer
CALM_LATENCY = 0.002


class Fate(NamedTuple):
    """What becomes of one call. Seconds; `there` None: it never arrives. `back` None: its answer does not."""

    there: float | None
    back: float | None
    gives_up: float

    @property
    def is_heard(self) -> bool:
        """Whether the caller has an answer in time."""
        return self.there is not None and self.back is not None and self.there + self.back <= self.gives_up

    @property
    def takes(self) -> float:
        """How long the caller waits."""
        return (self.there or 0.0) + (self.back or 0.0) if self.is_heard else self.gives_up


class Weather(Struct, frozen=True, kw_only=True):
    """Probabilities are of each call; `every`: seconds between two blows, on average."""

    lease: float
    workers: int
    concurrency: int
    latency: float
    refused: float
    lost: float
    late: float
    slow: float
    deaf: float
    wrong_clocks: bool
    grace: float
    blows: tuple[Blow, ...]
    every: float

    def fate(self, dice: random.Random) -> Fate:
        """Of one call, in this weather."""
        there, back = dice.uniform(0.0001, self.latency), dice.uniform(0.0001, self.latency)
        roll = dice.random()
        if (roll := roll - self.refused) < 0:
            return Fate(None, None, dice.choice((there, PATIENCE)))
        if (roll := roll - self.lost) < 0:
            return Fate(there, None, dice.choice((there + back, PATIENCE)))
        if (roll := roll - self.late) < 0:
            return Fate(dice.uniform(0.5, 3) * PATIENCE, back, PATIENCE)
        if (roll := roll - self.slow) < 0:
            return Fate(there + dice.uniform(0, 0.5) * PATIENCE, back + dice.uniform(0, 0.4) * PATIENCE, PATIENCE)
        return Fate(there, back, PATIENCE)


def weather(dice: random.Random) -> Weather:
    """Of one run."""

    def some(*values: float) -> float:
        return dice.choice((0.0, *values))

    blows = tuple(blow for blow in BLOWS if dice.random() < 0.4)
    return Weather(
        lease=dice.choice((1.5, 3.0, 10.0)),
        workers=dice.choice((2, 3)),
        concurrency=dice.choice((1, 3, 8)),
        latency=dice.choice((0.001, 0.02, 0.3)),
        refused=some(0.01, 0.05, 0.2),
        lost=some(0.01, 0.05),
        late=some(0.003, 0.02),
        slow=some(0.01, 0.05),
        deaf=some(0.5, 1.0),
        wrong_clocks=dice.random() < 0.4,
        grace=some(0.1, 1.0),
        blows=blows,
        every=dice.choice((2.0, 4.0, 8.0)),
    )


def calm() -> Fate:
    """Of a call when all faults are over."""
    return Fate(CALM_LATENCY, CALM_LATENCY, PATIENCE)
