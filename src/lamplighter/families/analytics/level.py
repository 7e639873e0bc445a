"""How rollups are made: hours of what was measured, days of hours, months of days."""

from __future__ import annotations

from typing import NamedTuple

from lamplighter.families.analytics.windows import Resolution

ALL = "*"  # instead of a tenant: all of them, in windows of UTC
NOBODY = ""  # what is of no tenant


class Level(NamedTuple):
    """A resolution, what its windows are made of (None: of measurements), and what is made of them."""

    resolution: Resolution
    parts: Resolution | None
    whole: Resolution | None


LEVELS = (Level("hour", None, "day"), Level("day", "hour", "month"), Level("month", "day", None))
EVENTLESS = "integrations.uptime"  # it is not measured: what is known of a time is read from the past of health
