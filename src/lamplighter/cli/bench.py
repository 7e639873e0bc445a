"""`lamplighter bench speed`, or `bench` alone: how fast a store is on this machine."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import typer

from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, count, print_json, print_table, say
from lamplighter.cli.program import Noun
from lamplighter.cli.progress import bars
from lamplighter.core.config import load
from lamplighter.core.secret import redact_url

LABELS = {
    "one_by_one_per_s": "enqueue one by one, jobs/s",
    "side_by_side_per_s": "enqueue, 50 tasks side by side, jobs/s",
    "bulk_per_s": "enqueue in bulk, jobs/s",
    "drain_per_s": "drain, one process, jobs/s",
    "burst_first_late_s": "all due at one moment: first late, s",
    "burst_last_late_s": "all due at one moment: last late, s",
    "pickup_p50_ms": "pickup by another process, p50 ms",
    "pickup_p99_ms": "pickup by another process, p99 ms",
    "memory_mb": "memory of this process, MB",
}


class Figure(StrEnum):
    """What can be measured alone."""

    ENQUEUE = "enqueue"
    DRAIN = "drain"
    BURST = "burst"
    PICKUP = "pickup"


class Bench(Noun):
    """`lamplighter bench` alone measures speed."""

    alone = "speed"


group = typer.Typer(cls=Bench, help="Measure a store on this machine: how fast it is, and how fair.")

Report = Callable[[str, int], Callable[[int], None]]  # begins a progress bar; what it returns moves it on


T = TypeVar("T")

Jobs = Annotated[
    int, typer.Option("--jobs", metavar="N", min=1, max=10_000_000, help="How many jobs to enqueue and drain.")
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", "-c", metavar="N", min=1, max=10_000, help="How many jobs at once.")
]
Only = Annotated[
    list[Figure] | None, typer.Option("--only", metavar="WHAT", help=f"Only {', '.join(Figure)}; may be repeated.")
]


@group.command()
def speed(
    *,
    jobs: Jobs = 10_000,
    concurrency: Concurrency = 100,
    only: Only = None,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Measure how fast a store is on this machine.

    It enqueues and runs jobs that do nothing, in a queue of their own, and leaves the done ones for an hour. A worker
    of yours that serves all queues would take some of them, so measure a store that is at rest.
    """
    url = load(flags={"store": store}).settings.store
    figures = run_async(_measure(url, jobs, concurrency, only or list(Figure)))
    if json:
        print_json({"store": redact_url(url), "jobs": jobs, "concurrency": concurrency, **figures})
    else:
        say(f"{count(jobs, 'no-op job')}, {concurrency} at once, on {redact_url(url)}\n")
        print_table(("what", "figure"), [(LABELS[key], _shown(value)) for key, value in figures.items()], empty="")


async def _measure(url: str, jobs: int, concurrency: int, only: list[Figure]) -> dict[str, float]:
    figures = await with_bars(lambda report: _figures(url, jobs, concurrency, only, report))
    return {key: round(value, 3 if value < 100 else 0) for key, value in figures.items()}


async def with_bars(measure: Callable[[Report], Coroutine[Any, Any, T]]) -> T:
    """What `measure` returns, with a progress bar for each thing that it measures."""
    with bars() as shown:

        def report(what: str, total: int) -> Callable[[int], None]:
            task = shown.add_task(what, total=total)
            return lambda done: shown.update(task, completed=done)

        return await measure(report)


async def _figures(url: str, jobs: int, concurrency: int, only: list[Figure], report: Report) -> dict[str, float]:
    from lamplighter.cli import measure  # noqa: PLC0415 - it brings the whole engine

    app, noop, _ = measure.bench_app(url)
    waiting = 0
    figures: dict[str, float] = {}
    async with app:
        await measure.clear(app.store)
        if Figure.ENQUEUE in only:
            few = min(jobs, 2000)
            waiting = 2 * few
            figures["one_by_one_per_s"] = await measure.one_by_one(app, noop, few, report("one by one", few))
            figures["side_by_side_per_s"] = await measure.side_by_side(app, noop, few, report("side by side", few))
        if Figure.ENQUEUE in only or Figure.DRAIN in only:
            waiting += jobs
            figures["bulk_per_s"] = await measure.bulk(app, noop, jobs, report("bulk", jobs))
            figures["drain_per_s"] = await measure.drain(app, waiting, concurrency, report("drain", waiting))
        if Figure.BURST in only:
            first, last = await measure.burst(app, noop, jobs, concurrency, report("burst", jobs))
            figures |= {"burst_first_late_s": first, "burst_last_late_s": last}
        if Figure.PICKUP in only and not url.startswith("memory"):
            tries = min(jobs, 500)
            delays = await measure.pickup(noop, url, tries, report("pickup", tries))
            figures |= {f"pickup_p{n}_ms": measure.percentile(delays, n) for n in (50, 99)}
        figures["memory_mb"] = measure.memory_mb()
    return figures


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
