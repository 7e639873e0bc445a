"""What the store shows, the same for whoever looks: so of several that show it, one counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from lamplighter.core.flow_control import GateView
from lamplighter.core.model import QueueStats


class Integrating(Struct, frozen=True, kw_only=True):
    """How the integrations are.

    `expiry`: in how many seconds the first of their access tokens expires; negative: it has; None: there is none.
    `down`: by provider, whether it is left alone because it does not answer. `lapsing`: how many of their tokens are
    about to end, with a refresh that is late. `rollup_lag`: for how many seconds something may have happened that no
    rollup has; None: nothing is added up. `broken`: how many chains of the audit log are not what was sealed.
    `unarchived`: for how many seconds one cannot be archived, at most.
    """

    by_status: Mapping[str, int]
    expiry: float | None
    down: Mapping[str, bool]
    lapsing: Mapping[str, int] = {}
    rollup_lag: float | None = None
    broken: int = 0
    unarchived: float = 0


class Sight(Struct, frozen=True, kw_only=True):
    """All of it, as of `now`.

    `serving`: by queue, how many workers take its jobs. `overdue`: by schedule, seconds since a slot that nobody saw.
    `alerts`: how many fire, by rule and severity; None: nobody looks.
    """

    now: datetime
    stats: Sequence[QueueStats]
    gates: Sequence[GateView]
    workers: int
    serving: Mapping[str, int] = {}
    overdue: Mapping[str, float] = {}
    integrating: Integrating | None = None
    alerts: Mapping[tuple[str, str], int] | None = None
