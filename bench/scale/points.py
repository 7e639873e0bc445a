"""What is measured on one store: the same work over more and more of something else."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from bench.peers.adapter import Adapter, Records, adapter
from bench.peers.environments import CannotRun
from bench.peers.measuring import rate_of
from bench.peers.subjects import SUBJECTS

from lamplighter.cli.measure import QUEUE, Bench, bench_app, burst, drafts, drain
from lamplighter.core.clock import utcnow
from lamplighter.core.draft import Draft
from lamplighter.core.model import Outcome

CLAIMED = 100  # jobs in each claim
TOGETHER = 1_000  # jobs that are added, or ended, in one call
CONCURRENCY = 100
PATIENCE = 600.0

Figures = Mapping[str, list[float]]


class Size(NamedTuple):
    """How much is done for a figure: jobs in a drain, drains, claims."""

    few: int = 10_000
    times: int = 3
    claims: int = 20

    @property
    def jobs(self) -> int:
        """That all of it takes, and a drain more: each ends some jobs beyond its last."""
        return self.few * (self.times + 1) + self.claims * CLAIMED


async def backlog(url: str, waiting: int, size: Size) -> Figures:
    """How fast jobs are claimed and drained before so many that wait."""
    async with _opened(url) as bench:
        await _add(bench, drafts(bench.noop, waiting + size.jobs))
        return await _figures(bench, size)


async def history(url: str, ended: int, size: Size) -> Figures:
    """How fast jobs are claimed and drained behind so many that have ended."""
    async with _opened(url) as bench:
        for batch in _batches(drafts(bench.noop, ended)):
            await bench.app.enqueue(batch)
            await _claim_and_end(bench, len(batch))
        await _add(bench, drafts(bench.noop, size.jobs))
        return await _figures(bench, size)


async def tenants(url: str, count: int, size: Size) -> Figures:
    """How fast jobs are claimed and drained that so many tenants share."""
    async with _opened(url) as bench:
        noops = [bench.noop.using(tenant=f"t-{number}") for number in range(count)]
        await _add(bench, (noop.draft("i", "t") for noop in itertools.islice(itertools.cycle(noops), size.jobs)))
        return await _figures(bench, size)


async def due(url: str, jobs: int, _size: Size) -> Figures:
    """How late the first and the last of so many begin that are due at one moment, and how many a second that makes."""
    async with _opened(url) as bench:
        first, last = await burst(bench.app, bench.noop, jobs, CONCURRENCY, _quietly)
        return {"first_late_s": [first], "last_late_s": [last], "drain_per_s": [jobs / max(last, 1e-6)]}


def processes(url: str, store: str, count: int, size: Size, folder: Path) -> Figures:
    """How fast so many workers, each a process of its own, drain one queue together.

    Raises:
        CannotRun: they do not end.
    """
    [command] = [one.command() for one in SUBJECTS if one.ours and one.store == store]
    records = Records(folder / "began")
    with ExitStack() as stack:

        def start() -> Adapter:
            return stack.enter_context(adapter(command, url, records.path, {}))

        client, workers = start(), [start() for _ in range(count)]
        jobs = client.tell("bulk", jobs=size.jobs, seconds=PATIENCE)["jobs"]
        for worker in workers:
            worker.tell("work", concurrency=CONCURRENCY)
        if not records.wait_for(jobs, PATIENCE):
            raise CannotRun(f"{count} workers did not drain {jobs:,} jobs within {PATIENCE:.0f} s.")
        return {"drain_per_s": [rate_of(records.since(0))]}


async def _figures(bench: Bench, size: Size) -> Figures:
    """Claims first, which leave nothing that a worker would find half done."""
    claims = [await _claim_and_end(bench, CLAIMED) * 1000 for _ in range(size.claims)]
    rates = [await drain(bench.app, size.few, CONCURRENCY, _quietly) for _ in range(size.times)]
    return {"claim_ms": [statistics.median(claims)], "drain_per_s": rates}


async def _claim_and_end(bench: Bench, jobs: int) -> float:
    """How long it took to claim so many, in seconds."""
    store, now = bench.app.store, utcnow()
    began = time.perf_counter()
    claimed = await store.claim((QUEUE,), jobs, worker="bench", lease=timedelta(minutes=1), now=now)
    took = time.perf_counter() - began
    until = now + timedelta(hours=1)
    await store.finish([Outcome(id=one.id, fence=one.fence, verb="done", keep_until=until) for one in claimed], now=now)
    return took


async def _add(bench: Bench, all_drafts: Iterator[Draft[float]]) -> None:
    for batch in _batches(all_drafts):
        await bench.app.enqueue(batch)


def _batches(all_drafts: Iterator[Draft[float]]) -> Iterator[list[Draft[float]]]:
    while batch := list(itertools.islice(all_drafts, TOGETHER)):
        yield batch


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Bench]:
    bench = bench_app(url)
    async with bench.app:
        yield bench


def _quietly(_done: int) -> None:
    """Nobody looks at how far one part has come."""
