"""What is measured of each subject: the same orders, in the same order, each bounded in jobs and in seconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench.peers.adapter import Adapter, Began, Records, adapter
from bench.peers.environments import CannotRun
from bench.peers.stores import Stores, on_disk
from bench.peers.subjects import Subject

FEW = 2_000  # jobs enqueued for a figure of how fast that is
WARM = 10  # jobs that run before latency is measured
RATE = 50  # jobs a second, for the latency of an idle worker
PATIENCE = 20.0  # seconds until a worker has begun its first job

Figures = dict[str, float]


class Plan(NamedTuple):
    """How much of everything: `seconds` bounds each part, so that the slow take no longer than the quick."""

    jobs: int = 20_000
    seconds: float = 3.0
    concurrency: int = 100
    pickups: int = 150


class Measured(NamedTuple):
    """Which version it was, and the figures of one round; those before it failed, if it did."""

    version: str
    figures: Figures
    failed: str | None = None


class Pair(NamedTuple):
    """One subject at work: a process that enqueues, and one that runs jobs once it is told to."""

    client: Adapter
    worker: Adapter
    records: Records


def measure(subject: Subject, places: Stores, plan: Plan) -> Measured:
    """One round of one subject."""
    version, figures = "", Figures()
    try:
        with ExitStack() as stack:
            pair = stack.enter_context(_pair(subject, places))
            version = str(pair.client.hello["version"])
            filled = _enqueue(pair, plan, figures)
            if not _drain(pair, plan, filled, figures):  # a backlog would be before what comes now
                stack.close()
                pair = stack.enter_context(_pair(subject, places))
                pair.worker.tell("work", concurrency=plan.concurrency)
            _pickup(pair, plan, figures)
            _due(pair, plan, figures)
    except CannotRun as error:
        return Measured(version, figures, str(error))
    return Measured(version, figures)


@contextmanager
def _pair(subject: Subject, places: Stores) -> Iterator[Pair]:
    """In an empty place of its own; the first of the two makes what tables there have to be."""
    with on_disk() as folder, places.empty(subject.store, folder) as url, ExitStack() as stack:
        records = Records(folder / "began")

        def start() -> Adapter:
            return stack.enter_context(adapter(subject.command(), url, records.path, subject.extra))

        yield Pair(start(), start(), records)


def _enqueue(pair: Pair, plan: Plan, figures: Figures) -> int:
    """Jobs a second in each way of enqueueing. How many wait now."""
    filled: int = pair.client.tell("one_by_one", jobs=1, seconds=PATIENCE)["jobs"]  # which may connect, and import
    few, short = min(FEW, plan.jobs), plan.seconds / 3
    ways = {"one_by_one": (few, short), "side_by_side": (few, short)}
    ways |= {"bulk" if pair.client.hello["bulk"] else "fill": (plan.jobs, plan.seconds)}
    for way, (jobs, seconds) in ways.items():
        told = pair.client.tell("side_by_side" if way == "fill" else way, jobs=jobs, seconds=seconds)
        filled += told["jobs"]
        if way != "fill":
            figures[f"{way}_per_s"] = told["jobs"] / told["seconds"]
    return filled


def _drain(pair: Pair, plan: Plan, filled: int, figures: Figures) -> bool:
    """How many a second are run, and what the worker then holds in memory. Whether all were in time."""
    pair.worker.tell("work", concurrency=plan.concurrency)
    _need(pair, 1, "of those that waited", PATIENCE)
    drained = pair.records.wait_for(filled, plan.seconds)
    figures["drain_per_s"] = rate_of(pair.records.since(0))
    figures["memory_mb"] = pair.worker.memory_mb()
    return drained


def rate_of(began: list[Began]) -> float:
    """Jobs a second, from the first to the last."""
    if len(began) < 2:
        raise CannotRun("it ran a single job in the time that it had.")
    return (len(began) - 1) / max(began[-1].at - began[0].at, 1e-6)


def _pickup(pair: Pair, plan: Plan, figures: Figures) -> None:
    """Milliseconds from when a job was sent to when it began in the other process, which has nothing else to do."""
    before = pair.records.count()
    warm = pair.client.tell("one_by_one", jobs=WARM, seconds=plan.seconds)["jobs"]
    _need(pair, before + warm, "sent to a worker that has just started", PATIENCE)
    pair.client.tell("paced", seconds=plan.pickups / RATE, jobs=plan.pickups, per_second=RATE)
    pair.records.wait_for(before + warm + plan.pickups, PATIENCE)
    paced = [one for one in pair.records.since(0) if one.sent]
    if len(paced) < plan.pickups:
        raise CannotRun(f"{plan.pickups - len(paced)} of {plan.pickups} jobs sent to an idle worker did not begin.")
    waits = [(one.at - one.sent) * 1000 for one in paced]
    figures["pickup_p50_ms"], figures["pickup_p99_ms"] = percentile(waits, 50), percentile(waits, 99)


def percentile(values: list[float], percent: int) -> float:
    """The value below which so many percent of the values lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def _due(pair: Pair, plan: Plan, figures: Figures) -> None:
    """How late the first of many begins that are due at one moment, and how many a second begin from then on."""
    before = pair.records.count()
    due = time.time() + plan.seconds + 0.5
    told = pair.client.tell("later", jobs=plan.jobs, seconds=plan.seconds / 2, due=due)
    time.sleep(max(0.0, due - time.time()))
    _need(pair, before + 1, "that came due", PATIENCE)
    pair.records.wait_for(before + told["jobs"], plan.seconds)
    began = pair.records.since(before)
    figures["due_first_late_s"] = began[0].at - due
    figures["due_per_s"] = len(began) / max(began[-1].at - due, 1e-6)
    figures["due_jobs"] = float(told["jobs"])


def _need(pair: Pair, count: int, which: str, seconds: float) -> None:
    if not pair.records.wait_for(count, seconds):
        raise CannotRun(f"no job {which} began within {seconds:.0f} s.")
