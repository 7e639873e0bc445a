"""When an integration's health is checked: evenly over the interval, at a moment of its own. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from lamplighter.core.clock import EPOCH


def next_check(integration_id: str, interval: timedelta, after: datetime) -> datetime:
    """The first of its moments later than `after`.

    They lie an interval apart, from a phase that a hash of the id gives: the same in every process and after every
    restart, so neither a start nor an import checks everything at once.
    """
    digest = hashlib.blake2b(integration_id.encode(), digest_size=8).digest()
    phase = interval * (int.from_bytes(digest) / 2**64)
    return after - (after - EPOCH - phase) % interval + interval
