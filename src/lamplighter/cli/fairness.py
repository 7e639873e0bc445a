"""`lamplighter bench fairness`: whether a store shares queues out, and holds limits, as it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lamplighter.cli.bench import Report, with_bars
from lamplighter.cli.opened import run_async
from lamplighter.cli.output import Json, StoreUrl, print_json, print_table, say
from lamplighter.core.config import load
from lamplighter.core.secret import redact_url

if TYPE_CHECKING:
    from lamplighter.cli.measure import Bench


class Finding(NamedTuple):
    """What was measured of one promise; `holds` is None where speeds are compared, which is no promise."""

    name: str
    says: str
    measured: float
    holds: bool | None = None


class Sizes(NamedTuple):
    """How much of everything is measured."""

    backlog: int
    claims: int
    jobs: int
    workers: int


Backlog = Annotated[
    int, typer.Option("--backlog", metavar="N", min=100, max=10_000_000, help="How many jobs one tenant has waiting.")
]
Claims = Annotated[
    int, typer.Option("--claims", metavar="N", min=1000, max=1_000_000, help="How many claims weights are measured by.")
]
Drained = Annotated[
    int, typer.Option("--jobs", metavar="N", min=100, max=1_000_000, help="How many jobs to drain in each round.")
]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", min=1, max=16, help="How many worker processes limits are held by.")
]


def fairness(
    *,
    backlog: Backlog = 100_000,
    claims: Claims = 10_000,
    jobs: Drained = 10_000,
    workers: Workers = 4,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Measure whether a store shares queues out among tenants, and holds limits, as it promises.

    It works in a queue of its own, like `bench`. Ends with 1 if a promise does not hold; the figures that compare speed
    are no promises: another program on this machine may have slowed one of the two.
    """
    url, sizes = load(flags={"store": store}).settings.store, Sizes(backlog, claims, jobs, workers)
    findings = run_async(with_bars(lambda report: _findings(url, sizes, report)))
    if json:
        print_json({"store": redact_url(url)} | {finding.name: finding.measured for finding in findings})
    else:
        rows = [(one.says, one.measured, _VERDICTS[one.holds]) for one in findings]
        say(f"Fair sharing and limits on {redact_url(url)}\n")
        print_table(("what", "measured", "holds"), rows, empty="")
    raise typer.Exit(1 if any(one.holds is False for one in findings) else 0)


_VERDICTS = {True: "yes", False: "NO", None: ""}


async def _findings(url: str, sizes: Sizes, report: Report) -> list[Finding]:
    from lamplighter.cli import measure  # noqa: PLC0415 - it brings the whole engine

    bench = measure.bench_app(url)
    async with bench.app:
        await measure.clear(bench.app.store)
        shares = await _shares(bench, sizes, report)
        speeds = await _speeds(bench, sizes, report)
        return [*shares, *speeds, *await _limits(bench, url, sizes, report)]


async def _shares(bench: Bench, sizes: Sizes, report: Report) -> list[Finding]:
    from lamplighter.cli import measure_fairness as fair  # noqa: PLC0415

    backlog, claims, store = sizes.backlog, sizes.claims, bench.app.store
    turn = await fair.first_turn(store, backlog, report("a tenant with many jobs", backlog))
    off = await fair.worst_share(store, claims, report("weights", claims))
    first = f"claims of {fair.BATCH} until a tenant's only job runs, behind {backlog:,} of another's: 1"
    weights = f"% that shares of weights 1, 2 and 5 are off, in {claims:,} claims: 10"
    return [
        Finding("first_turn_claims", first, turn, holds=turn == 1),
        Finding("worst_share_percent", weights, off, holds=off <= 10),
    ]


async def _speeds(bench: Bench, sizes: Sizes, report: Report) -> list[Finding]:
    from lamplighter.cli import measure_fairness as fair  # noqa: PLC0415

    steps = 3 * fair.ROUNDS * sizes.jobs
    one, many = await fair.costs(bench, sizes.jobs, report("what sharing costs", steps))
    return [
        Finding("one_tenant_speed", "speed with one tenant; without tenants it is 1", one),
        Finding("limited_speed", "speed with 100 tenants and two limits for each job", many),
    ]


async def _limits(bench: Bench, url: str, sizes: Sizes, report: Report) -> list[Finding]:
    from lamplighter.cli import measure_fairness as fair  # noqa: PLC0415
    from lamplighter.cli.measure import RATE_PER_S, RUNNING  # noqa: PLC0415

    workers = sizes.workers
    together = await fair.most_together(bench, url, workers, report("jobs at once", fair.HELD_JOBS))
    started = await fair.most_started(bench, url, workers, report("jobs a second", fair.PACED_JOBS))
    at_once = f"most jobs of a key at once, in {workers} processes: {RUNNING}"
    a_second = f"most jobs of a key that started within a second, in {workers} processes: {RATE_PER_S}"
    return [
        Finding("most_together", at_once, together, holds=together <= RUNNING),
        Finding("most_in_a_second", a_second, started, holds=started <= RATE_PER_S),
    ]
