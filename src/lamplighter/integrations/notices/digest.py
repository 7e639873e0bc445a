"""When what waits for a recipient goes out one by one, and when as one digest."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

MOST_MESSAGES = 3  # to one recipient on one topic
PERIOD = timedelta(minutes=15)  # within which so many may come

Digest = Literal["immediate", "hourly", "daily"]
PERIODS: dict[Digest, timedelta] = {"immediate": PERIOD, "hourly": timedelta(hours=1), "daily": timedelta(days=1)}

Decision = Literal["each", "digest", "later"]


def decide(recent: int, waiting: int, digest: Digest = "immediate") -> Decision:
    """What becomes of `waiting` deliveries, if `recent` messages on their topic were made within the period.

    The first few go at once, each as a message of its own. Whatever does not fit in waits until nothing was said for a
    period, and then goes as one digest: at the latest a period after it came, for nothing is said while it waits. Who
    wants to hear hourly or daily hears once in such a period.
    """
    if digest == "immediate" and recent + waiting <= MOST_MESSAGES:
        return "each"
    return "later" if recent else "digest"
