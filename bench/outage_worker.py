"""A worker of `bench/outage`: tells at its end, as JSON, how often it began and snoozed a refresh in each second."""

from __future__ import annotations

import asyncio
import logging
import resource
import sys
from collections import Counter
from pathlib import Path

import msgspec

from lamplighter.app import App
from lamplighter.cli.opened import run_async
from lamplighter.cli.work import on_signals
from lamplighter.core.config import Settings
from lamplighter.core.events import Event
from lamplighter.families.health import HealthFamily
from lamplighter.families.notify import NotifyFamily
from lamplighter.families.tokens import TokenFamily


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Counts by second since 1970, and the processor time of the whole life, in seconds."""

    started: dict[int, int]
    snoozed: dict[int, int]
    cpu: float


class _Ear:
    def __init__(self) -> None:
        self.counts = {"started": Counter[int](), "snoozed": Counter[int]()}

    def hear(self, event: Event) -> None:
        if event.name == "tokens.refresh" and event.kind in self.counts:
            self.counts[event.kind][int(event.at.timestamp())] += 1


async def _work(store: str, database: str | None, folder: Path | None) -> None:
    app, ear = App(settings=Settings(store=store, database=database, folder=folder)), _Ear()
    tokens = TokenFamily(app)
    HealthFamily(app, tokens)
    NotifyFamily(app, tokens)
    app.listen(ear.hear)
    async with app, app.worker() as worker:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), worker.stop)  # it closes when the bench is gone
        with on_signals(worker.stop):
            await worker.stopped()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(msgspec.json.encode(Told(**ear.counts, cpu=used.ru_utime + used.ru_stime)).decode(), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    store, database, folder = (text or None for text in sys.argv[1:])
    run_async(_work(store or "", database, Path(folder) if folder else None))
