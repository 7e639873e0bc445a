"""What metrics and traces cost a worker that drains jobs which do nothing, as ratios of one run.

A machine's speed drifts by more than that cost, so the ways take turns in one process, each draining a few jobs at a
time, and each turn is held against the turn of the same round in which nothing was on.
Run it with `.venv/bin/python -m bench.overhead`.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

import uvloop
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from rich.progress import track

from lamplighter.cli.main import COLLECT_AFTER
from lamplighter.cli.measure import bench_app, drafts
from lamplighter.engine import worker
from lamplighter.observe.meter import Meter

TOGETHER = 20  # jobs that are enqueued in one call, and so sampled as one
NOTHING = "nothing"

Way = Callable[[], AbstractContextManager[object]]


class Speed(NamedTuple):
    """Jobs a second: of the clock, and of the processor time that the process used."""

    clock: float
    processor: float


class _Nowhere(SpanExporter):
    """What a collector costs is its own affair."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - none is wanted
        return SpanExportResult.SUCCESS


@contextmanager
def _without_metrics() -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(patch.object(worker, "attempt_of", lambda *_: None))
        stack.enter_context(patch.object(Meter, "ended", lambda *_: None))
        stack.enter_context(patch.object(Meter, "operation", lambda *_: nullcontext()))
        yield


def _traced(ratio: float) -> Way:
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)))
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    return lambda: patch.object(trace, "get_tracer_provider", new=lambda: provider)  # which can be set only once


def _ways() -> Mapping[str, Way]:
    return {
        NOTHING: _without_metrics,
        "metrics": nullcontext,
        "metrics, 1 trace in 100": _traced(0.01),
        "metrics, 1 trace in 10": _traced(0.1),
        "metrics, every trace": _traced(1.0),
    }


async def _round(ways: Mapping[str, Way], jobs: int) -> dict[str, Speed]:
    """Each way once, in an order that is another one each time, on a store that is new."""
    speeds = {}
    with TemporaryDirectory() as folder:
        for way in random.sample(list(ways), len(ways)):
            with ways[way]():
                speeds[way] = await _drained(f"sqlite:///{folder}/jobs.db", jobs)
    return speeds


async def _drained(store: str, jobs: int) -> Speed:
    bench = bench_app(store)
    async with bench.app as app:
        all_drafts = list(drafts(bench.noop, jobs))
        for first in range(0, jobs, TOGETHER):
            await app.enqueue(all_drafts[first : first + TOGETHER])
        gc.collect()
        began, used = time.perf_counter(), time.process_time()
        async with app.worker(concurrency=100) as running:
            await app.until_idle(running)
        return Speed(jobs / (time.perf_counter() - began), jobs / (time.process_time() - used))


async def _measured(jobs: int, rounds: int) -> list[dict[str, Speed]]:
    ways = _ways()
    await _round(ways, jobs)  # nobody's first turn counts
    return [await _round(ways, jobs) for _ in track(range(rounds), "Draining")]


def _of_nothing(rounds: Sequence[Mapping[str, Speed]], way: str, by: int) -> str:
    """The median of the ratios, and between which the middle half of them is."""
    ratios = sorted(one[way][by] / one[NOTHING][by] for one in rounds)
    return f"{median(ratios):>9.3f}{ratios[len(ratios) // 4]:>7.3f}{ratios[len(ratios) * 3 // 4]:>7.3f}"


def main() -> None:
    """Measure, and show what each way reaches of what nothing does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000, help="that each way drains in each round")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    gc.set_threshold(*COLLECT_AFTER)  # as the program does
    rounds = uvloop.run(_measured(options.jobs, options.rounds))
    print(f"{'what is on':<26}{'jobs/s':>8}{'of nothing: by clock':>23}{'by processor':>23}")
    for way in rounds[0]:
        speed = median(one[way].clock for one in rounds)
        print(f"{way:<26}{speed:>8,.0f}{_of_nothing(rounds, way, 0)}{_of_nothing(rounds, way, 1)}")


if __name__ == "__main__":
    main()
