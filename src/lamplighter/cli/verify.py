"""`lamplighter verify`: whether a store keeps its promises on this machine, under faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from lamplighter.cli.opened import run_async, until_told
from lamplighter.cli.output import Json, count, print_json, print_table, say
from lamplighter.cli.progress import progress
from lamplighter.core.config import load

if TYPE_CHECKING:
    from lamplighter.testing.verify import Report

Where = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="A store of yours: faults hit workers and the network alone, in a corner of its own. "
        "Or sqlite, postgres or redis: one that is started for this, and may be killed.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=1_000_000, help="How many jobs.")]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="The same seed makes the same jobs and faults.")]
Faults = Annotated[
    str, typer.Option("--faults", metavar="KINDS", help="all that the store allows, or some: kill,stop,cut. Or none.")
]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.1, max=3600, help="Time between two faults.")]
Lease = Annotated[float, typer.Option("--lease", metavar="SECONDS", min=1, max=60, help="How long workers hold jobs.")]
Fsync = Annotated[
    Literal["always", "everysec"],
    typer.Option(
        "--appendfsync", help="Of --store redis; with everysec its last second may be lost, and counts apart."
    ),
]


def verify(
    *,
    store: Where = None,
    jobs: Jobs = 2000,
    seed: Seed = 1,
    faults: Faults = "all",
    every: Every = 2.0,
    lease: Lease = 2.0,
    appendfsync: Fsync = "always",
    json: Json = False,
) -> None:
    """Verify that a store keeps its promises, under faults.

    Workers and enqueuers in processes of their own write down every effect outside the store, while faults hit them.
    Then what they wrote is compared with what the store says. Ends with 1 if a job was lost, stuck, run twice without
    a cause, or anything else was not as promised.
    """
    from lamplighter.testing.verify import Plan  # noqa: PLC0415 - it brings the whole engine
    from lamplighter.testing.verify import verify as run  # noqa: PLC0415

    plan = Plan(
        store=store or load().settings.store,
        jobs=jobs,
        seed=seed,
        faults=faults,
        every=every,
        lease=lease,
        appendfsync=appendfsync,
    )
    with progress() as step:
        report = run_async(until_told(run(plan, say=_quiet if json else say, step=step)))
    if json:
        print_json(msgspec.to_builtins(report))
    else:
        _tell(report)
    if report.broken:
        raise typer.Exit(1)


def _quiet(_: str) -> None:
    """A program asked: it reads the last line alone."""


def _tell(report: Report) -> None:
    say("")
    print_table(("what", "count"), _figures(report), empty="")
    if report.faults:
        say("")
        print_table(
            ("fault", "injected", "jobs it met", "effects twice", "recovery, median s", "max s"),
            _rows(report),
            empty="",
        )
    for name, reason in report.left_out.items():
        say(f"Left out: {name}, for {reason}.")
    say(_verdict(report))


def _figures(report: Report) -> Iterator[tuple[str, int]]:
    yield "jobs", report.enqueued
    yield "lost", report.lost
    if report.lost_with_the_last_moments:
        yield "lost with the server's last second", report.lost_with_the_last_moments
    yield "effects twice, by a fault", report.doubled - report.doubled_without_cause
    if report.doubled_by_stalls:
        yield "of these by a busy machine", report.doubled_by_stalls
    yield "effects twice, without cause", report.doubled_without_cause
    yield "stuck", report.stuck
    yield "false dead letters", report.false_dead_letters
    yield "leftover keys and locks", report.leftovers
    told = {"lost", "doubled without cause", "stuck", "false dead letters", "leftovers"}
    yield from ((name, number) for name, number in report.counts.items() if name not in told)


def _rows(report: Report) -> Iterator[tuple[object, ...]]:
    for one in report.faults:
        yield one.kind, one.injected, one.running, one.doubled, _seconds(one.median_s), _seconds(one.max_s)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _verdict(report: Report) -> str:
    if not report.broken:
        return f"\nEvery promise held. To repeat it: --seed {report.seed}."
    lines = [f"\nBroken: {count(len(report.broken), 'promise')}. To repeat it: --seed {report.seed}."]
    for promise, cases in report.broken.items():
        lines += [f"{promise} ({report.counts[promise]:,}): {report.says[promise]}", *(f"  {case}" for case in cases)]
    return "\n".join([*lines, f"What every process wrote is kept in {report.record}."])
