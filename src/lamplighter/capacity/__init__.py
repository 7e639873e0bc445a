"""How much load a deployment will make, worked out before it is there: what `lamplighter simulate` shows.

from lamplighter.capacity import Crowd, Plan, simulate
load = simulate(Plan(crowds=(Crowd(slug="gdrive", integrations=1_000_000),)))
print(load.of("gdrive").peak_per_s)
"""

from __future__ import annotations

from lamplighter.capacity.load import Figures, Load, simulate
from lamplighter.capacity.plan import Crowd, Plan

__all__ = ["Crowd", "Figures", "Load", "Plan", "simulate"]
