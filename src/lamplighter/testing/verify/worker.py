"""A worker process of the run: `python -m lamplighter.testing.verify.worker`, with its orders on stdin."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime, timedelta
from typing import Any

from lamplighter.core.clock import Clock, WallClock, utcnow
from lamplighter.engine import janitor
from lamplighter.observe.log import set_up_logging
from lamplighter.testing.verify.jobs import Jobs, Recorder, opened
from lamplighter.testing.verify.lines import Journal
from lamplighter.testing.verify.observed import Observed
from lamplighter.testing.verify.orders import PRUNE_EVERY, Orders, commands, read_orders

GRACE = timedelta(seconds=5)
LOOK = 0.05  # seconds between looks at the clock


async def work(orders: Orders, journal: Journal) -> None:
    """Work until told to stop, or until nothing is left to do."""
    janitor.PRUNE_EVERY = PRUNE_EVERY
    inner = orders.open_store()
    store = Observed(inner, journal, lease=orders.lease)
    recorder = Recorder(journal, store.fences, orders.seed, orders.lease)
    jobs = Jobs(store.as_store, recorder, clock=_clock(orders.offset), crons=orders.crons)
    async with opened(jobs.app):
        lease = timedelta(seconds=orders.lease)
        async with (
            jobs.app.worker(concurrency=orders.concurrency, lease=lease, grace=GRACE) as worker,
            commands(worker.stop) as heard,
        ):
            print("ready", flush=True)
            obeying = asyncio.create_task(_obey(heard, inner))
            await (jobs.app.until_idle(worker) if orders.until_idle else worker.stopped())
            obeying.cancel()


async def _obey(heard: asyncio.Queue[str], store: Any) -> None:
    """`full`: the database file may not grow; `room`: it may again. Only asked of the SQLite store."""
    while True:
        pages = {"full": 1, "room": 1 << 30}[await heard.get()]  # less than it has is as much as it has
        statement = f"PRAGMA max_page_count = {pages}"
        await store._at().writer.run(lambda connection, say=statement: connection.execute(say).fetchone())


def _clock(offset: float) -> Clock:
    """A machine's clock that is off by so much."""

    def wrong() -> datetime:
        return utcnow() + timedelta(seconds=offset)

    return WallClock(wrong)


def watch(journal: Journal, longest: float) -> None:
    """Tell when this process stood still for longer than that: leases may have run out for no fault of the store's."""
    before = time.monotonic()
    while True:
        time.sleep(LOOK)
        now = time.monotonic()
        if now - before > longest:
            journal.write(journal.line("stalled", since=before, detail="the process stood still"))
        before = now


def main() -> None:
    """One worker, until its stdin ends."""
    orders = read_orders()
    set_up_logging("warning", "text")
    with Journal(orders.path, orders.name) as journal:
        threading.Thread(target=watch, args=(journal, orders.lease / 3), daemon=True).start()
        asyncio.run(work(orders, journal))


if __name__ == "__main__":
    main()
