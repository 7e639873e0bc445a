"""Workers as the store tells of them, for what looks at them from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from lamplighter import App
from lamplighter.core.model import Record
from lamplighter.engine.lease import KIND, LEASES_REMEMBERED, Presence

LEASE = timedelta(seconds=30)


async def worker(
    app: App[Any],
    name: str = "w-1",
    *,
    queues: Sequence[str] = (),
    running: int = 0,
    silent: float = 0,
    last_claim: float | None = 0,
    stopping: bool = False,
) -> None:
    """A worker of ten slots, as its record tells: `silent` and `last_claim` are seconds ago."""
    now = app.clock()
    beat_at = now - timedelta(seconds=silent)
    told = Presence(
        host="here",
        pid=1,
        started_at=(now - timedelta(hours=1)).isoformat(),
        beat_at=beat_at.isoformat(),
        claimed_at=None if last_claim is None else (now - timedelta(seconds=last_claim)).isoformat(),
        queues=queues,
        concurrency=10,
        running=running,
        stopping=stopping,
    )
    value = msgspec.json.encode(told).decode()
    await app.store.put(Record(kind=KIND, name=name, value=value, expires_at=beat_at + LEASES_REMEMBERED * LEASE))
