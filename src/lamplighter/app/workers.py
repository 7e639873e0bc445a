"""What an operator sees of workers, and does with them."""

from __future__ import annotations

from datetime import datetime

from lamplighter.app.why.sight import WorkerSeen, workers_seen
from lamplighter.core.errors import UnknownWorker
from lamplighter.engine.drain import ask_to_drain
from lamplighter.store.base import Store


async def workers_alive(store: Store, *, now: datetime) -> list[WorkerSeen]:
    """Those that have beaten within a lease, by name."""
    return [one for one in await workers_seen(store, now=now) if one.is_alive(now)]


async def drain_worker(store: Store, name: str, *, now: datetime) -> None:
    """Ask it to end as SIGTERM does. Raises UnknownWorker if none of that name is alive."""
    if all(one.name != name for one in await workers_alive(store, now=now)):
        raise UnknownWorker(f"no worker {name!r:.60} is alive: list workers to find their names.")
    await ask_to_drain(store, name, now=now)
