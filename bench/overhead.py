"""What metrics and traces cost a worker that drains jobs which do nothing, as ratios of one run.

Each way drains a store of its own in a process of its own, one after the other, and all of that several times.
Run it with `.venv/bin/python -m bench.overhead`.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from unittest.mock import patch

import uvloop
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from lamplighter.cli.main import COLLECT_AFTER
from lamplighter.cli.measure import bench_app, drafts
from lamplighter.observe.meter import Meter

HERE = Path(__file__).parent
TOGETHER = 20  # jobs that are enqueued in one call, and so sampled as one


class _Nowhere(SpanExporter):
    """What a collector costs is its own affair."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - none is wanted
        return SpanExportResult.SUCCESS


def _without_metrics() -> None:
    for name, does in (("ended", lambda *_: None), ("operation", lambda *_: nullcontext())):
        patch.object(Meter, name, does).start()


def _traced(ratio: float) -> None:
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)))
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    trace.set_tracer_provider(provider)


WAYS: dict[str, Callable[[], None]] = {
    "nothing": _without_metrics,
    "metrics": lambda: None,
    "metrics, 1 trace in 100": lambda: _traced(0.01),
    "metrics, 1 trace in 10": lambda: _traced(0.1),
    "metrics, every trace": lambda: _traced(1.0),
}


async def _drained(store: str, jobs: int) -> tuple[float, float]:
    """Jobs a second, by the clock and by the processor time of the process."""
    bench = bench_app(store)
    async with bench.app as app:
        all_drafts = list(drafts(bench.noop, jobs))
        for first in range(0, jobs, TOGETHER):
            await app.enqueue(all_drafts[first : first + TOGETHER])
        began, used = time.perf_counter(), time.process_time()
        async with app.worker(concurrency=100) as worker:
            await app.until_idle(worker)
        return jobs / (time.perf_counter() - began), jobs / (time.process_time() - used)


def _once(way: str, jobs: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.overhead", "--way", way, "--jobs", str(jobs)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent).stdout.split()
    return float(told[0]), float(told[1])


def _alone(way: str, jobs: int) -> None:
    gc.set_threshold(*COLLECT_AFTER)  # as the program does
    WAYS[way]()
    with TemporaryDirectory() as folder:
        print(*uvloop.run(_drained(f"sqlite:///{folder}/jobs.db", jobs)))


def main() -> None:
    """Measure, and show what each way reaches of what nothing does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        _alone(options.way, options.jobs)
        return
    rounds = [{way: _once(way, options.jobs) for way in WAYS} for _ in range(options.rounds)]
    print(
        f"{'what is on':<26}{'jobs/s':>8}{'of nothing':>11}{'from':>7}{'to':>7}{'by processor':>14}{'from':>7}{'to':>7}"
    )
    for way in WAYS:
        shown = f"{way:<26}{median(one[way][0] for one in rounds):>8,.0f}"
        for by, width in ((0, 11), (1, 14)):
            ratios = sorted(one[way][by] / one["nothing"][by] for one in rounds)
            shown += f"{median(ratios):>{width}.3f}{ratios[0]:>7.3f}{ratios[-1]:>7.3f}"
        print(shown)


if __name__ == "__main__":
    main()
