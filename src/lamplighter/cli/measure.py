"""What `lamplighter bench` measures: one function for each figure, all on no-op jobs with a small payload."""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

from lamplighter.app import App, Job
from lamplighter.core.clock import utcnow
from lamplighter.core.draft import Draft
from lamplighter.core.events import Event
from lamplighter.core.limit import Rate
from lamplighter.core.model import Where
from lamplighter.engine.context import Ctx
from lamplighter.store.base import Store

QUEUE = "lamplighter-bench"
NOOP = "lamplighter.bench"
ENDS = {"done", "failed", "cancelled"}
KEPT = timedelta(hours=1)  # done jobs are kept, as they would be in earnest, but not for long
RATE = 50  # jobs a second, for the latency of an idle worker
HOLD = 0.02  # seconds that a job takes which is to be seen while it runs
AT_ONCE = 50  # tasks that enqueue side by side
NOTICE = timedelta(seconds=2)  # how long before they are due the jobs of a burst are all in the store

RUNNING, RATE_PER_S, BURST = 5, 100, 10  # what the limits below allow
PACED, HELD, LOOSE = "lamplighter-bench.paced", "lamplighter-bench.held", "lamplighter-bench.loose"

BenchJob = Job[None, [str, str], float]
HoldJob = Job[None, [], tuple[float, float]]
Step = Callable[[int], None]  # told how many jobs are behind us: for a progress bar


class Bench(NamedTuple):
    """An app, a job that does nothing but say when it began, and one that takes a moment and says from when to when."""

    app: App[None]
    noop: BenchJob
    hold: HoldJob


def bench_app(store: str) -> Bench:
    """The app of a bench."""
    app = App(store)
    app.limit(HELD, running=RUNNING)
    app.limit(PACED, rate=Rate(RATE_PER_S, per=1, burst=BURST))
    app.limit(LOOSE, running=1_000_000, rate=Rate(1_000_000, per=1, burst=1_000_000))

    @app.job(NOOP, queue=QUEUE, keep_done=KEPT, keep_failed=KEPT, timeout=30)
    async def noop(_ctx: Ctx[None], integration: str, tenant: str) -> float:  # noqa: ARG001 - the payload
        return time.time()

    @app.job("lamplighter.bench.hold", queue=QUEUE, keep_done=KEPT, keep_failed=KEPT, timeout=30)
    async def hold(_ctx: Ctx[None]) -> tuple[float, float]:
        began = time.time()
        await asyncio.sleep(HOLD)
        return began, time.time()

    return Bench(app, noop, hold)


def drafts(noop: BenchJob, jobs: int) -> Iterator[Draft[float]]:
    """So many jobs of fifty tenants."""
    return (noop.draft(f"i-{number}", f"t-{number % 50}") for number in range(jobs))


async def one_by_one(app: App[None], noop: BenchJob, jobs: int, step: Step) -> float:
    """Jobs a second, each enqueued after the one before is durable."""
    started = time.perf_counter()
    for number, draft in enumerate(drafts(noop, jobs)):
        await app.enqueue([draft])
        step(number)
    return jobs / (time.perf_counter() - started)


async def side_by_side(app: App[None], noop: BenchJob, jobs: int, step: Step) -> float:
    """Jobs a second, enqueued by fifty tasks, each job in a call of its own: as the requests of a web app would."""
    waiting = iter(enumerate(drafts(noop, jobs)))

    async def requests() -> None:
        for number, draft in waiting:
            await app.enqueue([draft])
            step(number)

    started = time.perf_counter()
    await asyncio.gather(*(requests() for _ in range(AT_ONCE)))
    return jobs / (time.perf_counter() - started)


async def bulk(app: App[None], noop: BenchJob, jobs: int, step: Step) -> float:
    """Jobs a second, enqueued in one call."""
    started = time.perf_counter()
    await app.enqueue(drafts(noop, jobs))
    step(jobs)
    return jobs / (time.perf_counter() - started)


async def drain(
    app: App[None], jobs: int, concurrency: int, step: Step, *, queue: str = QUEUE, name: str = NOOP
) -> float:
    """Jobs a second until so many of that name that are queued have ended, by one worker process."""
    async with _counted(app, jobs, step, name) as all_done:
        started = time.perf_counter()
        async with app.worker(concurrency=concurrency, queues=[queue]):
            await all_done.wait()
            taken = time.perf_counter() - started
    return jobs / taken


async def burst(app: App[None], noop: BenchJob, jobs: int, concurrency: int, step: Step) -> tuple[float, float]:
    """How late, in seconds, the first and the last of so many jobs begin that are due at one moment."""
    due = utcnow() + NOTICE + timedelta(seconds=jobs / 20_000)  # all of them must be there before
    late: list[float] = []
    stop = app.listen(lambda event: late.append(event.late_ms or 0) if event.kind == "started" else None)
    try:
        async with _counted(app, jobs, step) as all_done, app.worker(concurrency=concurrency, queues=[QUEUE]):
            await app.enqueue(drafts(noop.using(run_at=due), jobs))
            await all_done.wait()
    finally:
        stop()
    return min(late) / 1000, max(late) / 1000


async def pickup(noop: BenchJob, store: str, jobs: int, step: Step) -> list[float]:
    """Milliseconds from each enqueue to the beginning of its job in a worker of another process, 50 a second."""
    delays = []
    async with other_worker(store):
        await (await noop.enqueue("warm", "up")).result(timeout=30)
        for number in range(jobs):
            enqueued = time.time()
            handle = await noop.enqueue(f"i-{number}", "t-1")
            delays.append((await handle.result(timeout=30) - enqueued) * 1000)
            step(number)
            await asyncio.sleep(max(0.0, enqueued + 1 / RATE - time.time()))
    return delays


async def clear(store: Store) -> None:
    """Cancel what an earlier measurement left waiting: it would count in the next."""
    where = Where(queues=(QUEUE,))
    while (await store.cancel(where, limit=1000, now=utcnow(), keep_until=utcnow())).ended:
        pass


def percentile(values: list[float], percent: int) -> float:
    """The value below which so many percent of the values lie."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def memory_mb() -> float:
    """What this process holds in memory now; where the system does not tell, the most that it ever held."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            [line] = [line for line in status if line.startswith("VmRSS")]
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)  # bytes, where there is no /proc
    return int(line.split()[1]) / 1024


@asynccontextmanager
async def _counted(app: App[None], jobs: int, step: Step, name: str = NOOP) -> AsyncIterator[asyncio.Event]:
    """An event that is set once so many jobs of that name have ended, and that is durable."""
    all_done = asyncio.Event()
    done = 0

    def count(event: Event) -> None:
        nonlocal done
        if event.name == name and event.kind in ENDS:
            done += 1
            if done % 100 == 0:
                step(done)
            if done == jobs:
                all_done.set()

    stop = app.listen(count)
    try:
        yield all_done
    finally:
        stop()


@asynccontextmanager
async def other_worker(store: str) -> AsyncIterator[None]:
    """A worker in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lamplighter.cli.bench_worker", store, stdin=PIPE, stdout=DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()
