"""What is wrong with jobs: a few reads of the store, and a check for each name.

Thresholds are those of the alerts of the same name; a doctor who was called does not wait for them to last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from shlex import quote
from time import monotonic

from msgspec import Struct

from lamplighter.app.crons import overdue
from lamplighter.app.why.sight import WorkerSeen, workers_seen
from lamplighter.app.why.telling import named, rough
from lamplighter.core.flow_control import GateView
from lamplighter.core.model import JobView, QueueStats, State, Where
from lamplighter.observe.histogram import quantile
from lamplighter.observe.history.past import Past
from lamplighter.observe.history.slot import ALL, Slot
from lamplighter.store.base import Store

WAITED = timedelta(minutes=10)  # that a job is in line for
LATE = 60.0  # seconds: 95 of 100 begin within
LATE_OVER = timedelta(minutes=5)
FAILING, FAILING_LEAST, FAILING_OVER = 0.2, 10, timedelta(minutes=10)
DEAD_OVER = timedelta(hours=1)
CRON_LATE = timedelta(minutes=2)
SLOW = 1.0  # seconds, for one read
MOST = 1000  # failed jobs, and gates, that are looked at


class JobsSeen(Struct, frozen=True, kw_only=True):
    """What the store told. `seen`: workers on record, dead ones too; `overdue`: see
    `crons.overdue`; `took`: how long counting jobs did, in seconds."""

    now: datetime
    stats: Sequence[QueueStats]
    seen: Sequence[WorkerSeen]
    overdue: Mapping[str, timedelta]
    gates: Sequence[GateView]
    failed: Sequence[JobView]
    lately: Slot
    ten_minutes: Slot
    hour: Slot
    took: float = 0.0

    @property
    def alive(self) -> list[WorkerSeen]:
        """Workers that beat."""
        return [one for one in self.seen if one.is_alive(self.now)]

    def serving(self, queue: str) -> list[WorkerSeen]:
        """Those that take jobs of a queue."""
        return [one for one in self.alive if one.takes(queue)]


async def look(store: Store, *, now: datetime) -> JobsSeen:
    """Read all that the checks need.

    Raises:
        StoreError: the store cannot be reached, or read.
    """
    began = monotonic()
    past, stats = Past(store, lambda: now), await store.stats()
    took = monotonic() - began
    return JobsSeen(
        now=now,
        stats=stats,
        seen=await workers_seen(store, now=now),
        overdue=await overdue(store, now=now),
        gates=await store.gates(limit=MOST, now=now),
        failed=await store.page(Where(states=(State.FAILED,)), limit=MOST),
        lately=await past.during(LATE_OVER),
        ten_minutes=await past.during(FAILING_OVER),
        hour=await past.during(DEAD_OVER),
        took=took,
    )


def store_trouble(seen: JobsSeen) -> Iterator[str]:
    """It answers, but slowly."""
    if seen.took > SLOW:
        yield f"the store took {seen.took:.1f} s to count jobs: see what keeps its disk, processor or network busy."


def no_worker(seen: JobsSeen) -> Iterator[str]:
    """Jobs wait, and nobody is there who would take them."""
    for one in seen.stats:
        waiting = one.queued + (0 if seen.alive else one.scheduled)
        if waiting and not one.paused and not seen.serving(one.queue):
            yield (
                f"{_jobs(waiting)} in queue {one.queue}, and no living worker serves it{_last(seen, one.queue)}: "
                f"start one with `lamplighter work MODULE:APP --queue {quote(one.queue)}`."
            )


def oldest_waiting(seen: JobsSeen) -> Iterator[str]:
    """A job is long due. What keeps it is looked for, as far as it concerns the whole queue."""
    for one in seen.stats:
        if one.oldest is not None and seen.now - one.oldest > WAITED:
            waited = rough((seen.now - one.oldest).total_seconds())
            yield f"{_jobs(one.queued)} in queue {one.queue}, the oldest for {waited}: {_cause(seen, one)}."


def late(seen: JobsSeen) -> Iterator[str]:
    """Jobs begin long after they were due."""
    for queue, tally in seen.lately.items():
        within = quantile(tally.late, 0.95)
        if queue != ALL and within is not None and within > LATE:
            yield (
                f"of the last 5 minutes' jobs in queue {queue} one in twenty began {rough(within)} late or more: "
                "start more workers, or see by `lamplighter queues shares` whose jobs they are."
            )


def jobs_failing(seen: JobsSeen) -> Iterator[str]:
    """A large part of the attempts in a queue is for nothing."""
    for queue, tally in seen.ten_minutes.items():
        attempts = tally.done + tally.failed + tally.retried
        if queue != ALL and tally.failed >= FAILING_LEAST and tally.failed > FAILING * attempts:
            yield (
                f"{tally.failed:,} of {attempts:,} attempts in queue {queue} failed for good in 10 minutes: "
                f"`lamplighter jobs dead --queue {quote(queue)}` tells of what."
            )


def dead_jobs(seen: JobsSeen) -> Iterator[str]:
    """Jobs failed for good; which, as far as they are kept and among the newest."""
    since = seen.now - DEAD_OVER
    died = Counter((one.queue, one.name) for one in seen.failed if one.ended_at is not None and one.ended_at > since)
    for queue in sorted({queue for queue, _ in died} | {queue for queue in seen.hour if queue != ALL}):
        names = {name: n for (where, name), n in died.items() if where == queue}
        number = max(sum(names.values()), seen.hour[queue].failed if queue in seen.hour else 0)
        if number:
            told = f" ({named([f'{name}: {n:,}' for name, n in sorted(names.items())])})" if names else ""
            yield (
                f"{number:,} in queue {queue} failed for good within an hour{told}: "
                f"`lamplighter jobs dead --queue {quote(queue)}` tells why, `lamplighter jobs retry` runs them again."
            )


def cron_missed(seen: JobsSeen) -> Iterator[str]:
    """A slot has passed, and no worker looked at it."""
    for name, late_by in seen.overdue.items():
        if late_by > CRON_LATE:
            hint = "no living worker has it" if seen.alive else "no worker is alive"
            yield (
                f"schedule {name} should have made a job {rough(late_by.total_seconds())} ago, and {hint}: "
                f"start a worker whose app has it, or `lamplighter crons pause {quote(name)}` if it was taken out."
            )


def breaker_open(seen: JobsSeen) -> Iterator[str]:
    """Jobs wait, for what they call keeps failing."""
    for gate in seen.gates:
        if gate.state != "closed":
            by = "an operator" if gate.held else "failures"
            yield (
                f"the breaker of {gate.key} was opened by {by}, and {_jobs(gate.waiting)}: mend what it protects, "
                f"then wait, or `lamplighter limits close {quote(gate.key)}`."
            )


CHECKS: Mapping[str, Callable[[JobsSeen], Iterator[str]]] = {
    check.__name__.replace("_", "-"): check
    for check in (store_trouble, no_worker, oldest_waiting, late, jobs_failing, dead_jobs, cron_missed, breaker_open)
}


def _cause(seen: JobsSeen, one: QueueStats) -> str:
    serving = seen.serving(one.queue)
    if one.paused:
        return f"the queue is paused, `lamplighter queues resume {quote(one.queue)}` lets it go on"
    if not serving:
        return "no living worker serves it, start one"
    if deaf := [worker.name for worker in serving if worker.is_deaf(seen.now)]:
        return f"{named(deaf)} beats, but asks for no jobs, so see its log, or restart it"
    if not any(worker.has_room for worker in serving):
        slots = sum(worker.told.concurrency for worker in serving)
        return f"all {slots:,} slots of its workers are taken, start more, or raise their concurrency"
    return "`lamplighter jobs why` tells what keeps one job from running"


def _last(seen: JobsSeen, queue: str) -> str:
    """The worker that was there last, if one is on record."""
    gone = [one for one in seen.seen if one.serves(queue) and not one.is_alive(seen.now)]
    if not gone:
        return ""
    last = max(gone, key=lambda one: one.beat_at)
    silent = rough((seen.now - last.beat_at).total_seconds())
    return f" (the last, on {last.told.host} with pid {last.told.pid}, has been silent for {silent})"


def _jobs(number: int) -> str:
    return "1 job waits" if number == 1 else f"{number:,} jobs wait"
