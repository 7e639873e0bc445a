"""What `lamplighter bench fairness` measures: one function for each promise."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from lamplighter.app import Handle
from lamplighter.cli.measure import (
    HELD,
    KEPT,
    LOOSE,
    PACED,
    QUEUE,
    Bench,
    BenchJob,
    Step,
    clear,
    drain,
    other_worker,
)
from lamplighter.core.clock import to_us, utcnow
from lamplighter.core.draft import Draft
from lamplighter.core.flow_control import TENANT, TenantRule
from lamplighter.core.ids import new_id
from lamplighter.core.model import Claimed, NewJob, Outcome, Where
from lamplighter.store.base import Store
from lamplighter.store.rules import record_of

BATCH = 100  # jobs in one claim
TOGETHER = 1000  # jobs in one call of the store
ROUNDS = 3
WEIGHTS = {"lamplighter-bench-1": 1, "lamplighter-bench-2": 2, "lamplighter-bench-5": 5}
HELD_JOBS = 400
PACED_JOBS = 300
LEASE = timedelta(minutes=5)
PATIENCE = 120  # seconds, for the jobs of one measurement


async def first_turn(store: Store, backlog: int, step: Step) -> int:
    """How many claims it takes until the only job of one tenant is claimed, that came after many of another."""
    await _fill(store, "lamplighter-bench-many", backlog, step)
    await _end(store, await _claim(store))
    [job] = await _fill(store, "lamplighter-bench-few", 1, lambda _: None)
    claims = 0
    while True:
        claims += 1
        claimed = await _claim(store)
        await _end(store, claimed)
        if not claimed or any(one.id == job.id for one in claimed):
            break
    await clear(store)
    return claims


async def worst_share(store: Store, claims: int, step: Step) -> float:
    """By how many percent the share of a tenant differs from what its weight is worth, at most."""
    for tenant, weight in WEIGHTS.items():
        await store.put(record_of(tenant, TenantRule(weight=weight)))
        await _fill(store, tenant, claims * weight // sum(WEIGHTS.values()) + 10 * BATCH, lambda _: None)
    taken: Counter[str | None] = Counter()
    while (number := taken.total()) < claims:
        claimed = await _claim(store)
        taken.update(one.tenant for one in claimed)
        await _end(store, claimed)
        step(number)
    for tenant in WEIGHTS:
        await store.drop(TENANT, tenant)
    await clear(store)
    ideal = {tenant: claims * weight / sum(WEIGHTS.values()) for tenant, weight in WEIGHTS.items()}
    return round(max(abs(taken[tenant] / worth - 1) for tenant, worth in ideal.items()) * 100, 2)


async def costs(bench: Bench, jobs: int, step: Step) -> tuple[float, float]:
    """The speed of a drain with one tenant, and with a hundred and two limits for each job that never bind; that of
    one without any of it is 1. By turns, the median of three each."""
    plain, one = bench.noop, bench.noop.using(tenant="t-1")
    ways: list[Callable[[int], BenchJob]] = [lambda _: plain, lambda _: one, lambda n: _limited(bench, n)]
    speeds: list[list[float]] = [[], [], []]
    for done in range(0, ROUNDS * len(ways) * jobs, jobs):
        way = done // jobs % len(ways)
        await bench.app.enqueue(ways[way](n).draft(f"i-{n}", f"t-{n % 100}") for n in range(jobs))
        speeds[way].append(await drain(bench.app, jobs, BATCH, lambda _: None))
        step(done + jobs)
    without, with_one, with_all = (statistics.median(found) for found in speeds)
    return round(with_one / without, 3), round(with_all / without, 3)


async def most_together(bench: Bench, url: str, workers: int, step: Step) -> int:
    """How many jobs of one key ran at once, at most, in several processes."""
    drafts = (bench.hold.using(limits=[f"{HELD}:x"], tenant=f"t-{n % 3}").draft() for n in range(HELD_JOBS))
    spans = await _run(bench, url, workers, drafts, step)
    moments = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


async def most_started(bench: Bench, url: str, workers: int, step: Step) -> int:
    """How many jobs of one key were given to several processes in any second, at most."""
    drafts = (bench.hold.using(limits=[f"{PACED}:x"], tenant=f"t-{n % 3}").draft() for n in range(PACED_JOBS))
    await _run(bench, url, workers, drafts, step)
    views = await bench.app.store.page(Where(names=(bench.hold.name,)), limit=PACED_JOBS)
    starts = sorted(view.started_at for view in views if view.started_at)
    return max(_within_a_second(starts))


def _limited(bench: Bench, number: int) -> BenchJob:
    tenant = f"t-{number % 100}"
    return bench.noop.using(tenant=tenant, limits=[f"{LOOSE}:a-{number % 10}", f"{LOOSE}:{tenant}"])


async def _run(
    bench: Bench, url: str, workers: int, drafts: Iterable[Draft[tuple[float, float]]], step: Step
) -> list[tuple[float, float]]:
    """What jobs say when they ran, in worker processes; in this one where no other sees the store."""
    handles: Sequence[Handle[tuple[float, float]]]
    async with AsyncExitStack() as stack:
        for _ in range(workers):
            elsewhere = not url.startswith("memory")
            worker = other_worker(url) if elsewhere else bench.app.worker(concurrency=BATCH, queues=[QUEUE])
            await stack.enter_async_context(worker)
        handles = await bench.app.enqueue(drafts)
        spans = []
        for number, handle in enumerate(handles):
            spans.append(await handle.result(timeout=PATIENCE))
            step(number)
    return spans


def _within_a_second(starts: Sequence[datetime]) -> Iterator[int]:
    """How many began in the second that begins with each."""
    last = 0
    for first, start in enumerate(starts):
        while last < len(starts) and starts[last] < start + timedelta(seconds=1):
            last += 1
        yield last - first


async def _fill(store: Store, tenant: str, number: int, step: Step) -> list[NewJob]:
    """So many jobs of a tenant; returns the last of them."""
    jobs: list[NewJob] = []
    for done in range(0, number, TOGETHER):
        now = utcnow()
        jobs = [
            NewJob(id=new_id(to_us(now)), name="lamplighter.bench", queue=QUEUE, run_at=now, tenant=tenant)
            for _ in range(min(TOGETHER, number - done))
        ]
        await store.add(jobs, now=now)
        step(done)
    return jobs


async def _claim(store: Store) -> list[Claimed]:
    return await store.claim([QUEUE], BATCH, worker="lamplighter-bench", lease=LEASE, now=utcnow())


async def _end(store: Store, claimed: Sequence[Claimed]) -> None:
    now = utcnow()
    await store.finish(
        [Outcome(id=one.id, fence=one.fence, verb="done", keep_until=now + KEPT) for one in claimed], now=now
    )
