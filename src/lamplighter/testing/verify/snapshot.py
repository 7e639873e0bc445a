"""What the store holds when the run is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from lamplighter.core.clock import Clock, to_us, utcnow
from lamplighter.core.ids import new_id
from lamplighter.core.model import JobView, Keep, NewJob, State, Unique, Where
from lamplighter.engine.lease import KIND
from lamplighter.store.base import Store

PAGE = 1000
PROBES = "verify-probes"  # the queue of jobs that only ask for keys
FAR = timedelta(days=1)


async def all_jobs(store: Store) -> list[JobView]:
    """Every job, newest first."""
    views: list[JobView] = []
    before = None
    while page := await store.page(Where(), limit=PAGE, before=before):
        views += page
        before = page[-1].id
    return views


async def rescues(store: Store, views: Iterable[JobView]) -> dict[tuple[str, int], float]:
    """When, seconds since 1970, each attempt was taken from a worker that had not renewed its lease."""
    failures = [(view.id, await store.failures(view.id)) for view in views if view.crashes]
    return {(job, one.fence): one.at.timestamp() for job, found in failures for one in found if one.kind == "crash"}


async def prune(store: Store, clock: Clock = utcnow) -> None:
    """Forget what need not be kept any longer: whatever is there after that was not to be forgotten."""
    most = 1_000_000_000
    while await store.prune(Keep(most, most), limit=PAGE, now=clock()):
        pass


async def free_keys(store: Store, keys: Iterable[str], clock: Clock = utcnow) -> dict[str, bool]:
    """Which of these unique keys are free: a job that takes one is added, and cancelled again."""
    wanted = sorted(set(keys))
    free: dict[str, bool] = {}
    for start in range(0, len(wanted), PAGE):
        some = wanted[start : start + PAGE]
        now = clock()
        added = await store.add([_probe(key, now) for key in some], now=now)
        free |= {key: one.created for key, one in zip(some, added, strict=True)}
        while (await store.cancel(Where(queues=(PROBES,)), limit=PAGE, now=now, keep_until=now)).ended:
            pass
    return free


def _probe(key: str, now: datetime) -> NewJob:
    unique = Unique(key, "active")
    return NewJob(id=new_id(to_us(now)), name=PROBES, queue=PROBES, run_at=now + FAR, unique=unique)


async def leftovers(store: Store, views: Iterable[JobView], clock: Clock = utcnow) -> list[str]:
    """Counts that do not fit the jobs that there are, slots of limits, and workers that are said to be alive."""
    return [
        *await _wrong_counts(store, views),
        *await _lost_slots(store, views, clock),
        *await _dead_workers(store, clock),
    ]


async def _wrong_counts(store: Store, views: Iterable[JobView]) -> list[str]:
    there = Counter((view.queue, view.state) for view in views)
    told = {(one.queue, state): getattr(one, state) for one in await store.stats() for state in State}
    return [
        f"the counts tell of {told.get(key, 0)} {key[1]} jobs in {key[0]}, and there are {there[key]}"
        for key in sorted(there.keys() | told.keys())
        if told.get(key, 0) != there[key]
    ]


async def _lost_slots(store: Store, views: Iterable[JobView], clock: Clock) -> list[str]:
    """Of limits: a slot that no running job holds would be taken for ever."""
    running = Counter(key for view in views if view.state is State.RUNNING for key in view.limits)
    return [
        f"{gate.running} slots of {gate.key} are taken, and {running[gate.key]} of its jobs run"
        for gate in await store.gates(limit=PAGE, now=clock())
        if gate.running != running[gate.key]
    ]


async def _dead_workers(store: Store, clock: Clock) -> list[str]:
    return [f"worker {one.name} is said to be alive" for one in await store.records(KIND, now=clock())]
