"""What a run is to do, and how long each part of it takes."""

from __future__ import annotations

import math

from msgspec import Struct

from lamplighter.engine.fetch import POLL
from lamplighter.engine.janitor import LOOK
from lamplighter.engine.patience import LONGEST_PAUSE
from lamplighter.testing.verify.orders import PRUNE_EVERY
from lamplighter.testing.verify.places import AppendFsync

RATE = 500  # jobs a second at most that are added: enough to keep workers busy, on two cores
LONGEST_FAULT = 30.0  # seconds, on a busy machine
STUCK_AFTER = 30.0  # seconds without any job ending, past which those that are left count as stuck


class Plan(Struct, frozen=True, kw_only=True):
    """`every`: seconds between faults. `lease`: of a worker, in seconds. `appendfsync`: of a private Redis.
    `wrap`: see `orders.py`. `waits`: seconds to go on for once all is done; by default past every interval."""

    store: str
    jobs: int = 2000
    seed: int = 1
    faults: str = "all"
    every: float = 2.0
    lease: float = 2.0
    workers: int = 3
    enqueuers: int = 2
    appendfsync: AppendFsync = "always"
    wrap: str | None = None
    waits: float | None = None

    def rounds(self, kinds: int) -> int:
        """How many faults: each kind at least once, and for as long as jobs are added."""
        return max(kinds, math.ceil(self.jobs / RATE / self.every))

    def lasts(self, kinds: int) -> float:
        """Seconds over which the jobs are added."""
        return max(self.rounds(kinds) * self.every, self.jobs / RATE)

    def patience(self, kinds: int) -> float:
        """Seconds after which a store that has not taken all jobs is given up."""
        return 4 * self.lasts(kinds) + LONGEST_FAULT * self.rounds(kinds) + STUCK_AFTER

    @property
    def quiet(self) -> float:
        """Seconds to go on for once all is done, past every interval of a worker: damage may come late."""
        if self.waits is not None:
            return self.waits
        longest = max(3 * self.lease, PRUNE_EVERY, LONGEST_PAUSE)  # a dead worker's record lives for three leases
        return longest + LOOK + POLL
