"""What happened lately, in one sum."""

from __future__ import annotations

from datetime import datetime, timedelta

from lamplighter.observe.history.slot import Slot, total
from lamplighter.observe.history.steps import MINUTES, TENS, slots_of
from lamplighter.store.base import Store


async def recent(store: Store, lasts: timedelta, *, now: datetime) -> Slot:
    """What happened in the last so long, a day at most. The last ten seconds, or minute, may not be counted yet."""
    step = TENS if lasts.total_seconds() <= TENS.kept else MINUTES
    records = await store.records(step.kind, now=now)
    return total(slot for _, slot in slots_of(records, since=(now - lasts).timestamp()))
