"""The whole engine on virtual time, in one process: workers that crash and stand still, a store that answers late or
never, clocks that are off. The same seed makes the same run, to the last call.

    python -m lamplighter.testing.simulation --seeds 1000
    python -m lamplighter.testing.simulation --seed 17

from lamplighter.testing.simulation import run
assert not run(17).broken
"""

from __future__ import annotations

from lamplighter.testing.simulation.run import Result, run

__all__ = ["Result", "run"]
