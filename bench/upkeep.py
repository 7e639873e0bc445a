"""A PostgreSQL table bloated on purpose to three times its size, and brought back while pgbench works on it.

Run it with `python -m bench.upkeep`. It ends with 1 if a promise was not held: the table and its indexes back within a
fifth of fresh, and no statement of pgbench longer than the lock timeout. A transaction of pgbench is an UPDATE, a
SELECT and an INSERT; its log has transactions, so what it shows is an upper bound of any statement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
from bench.upkeep_run import Figures, Latency, Plan, Sizes, play

from lamplighter.cli.progress import progress
from lamplighter.core.errors import LamplighterError
from lamplighter.testing.servers import private_postgres

ABOVE = 1.2  # times fresh


class Promise(NamedTuple):
    """What is promised, what came of it, and whether that is enough."""

    text: str
    figure: str
    held: bool


def promises(plan: Plan, figures: Figures) -> list[Promise]:
    """Each promise beside its figure."""
    slowest = figures.during.slowest
    return [
        _within("table", figures.fresh.table, figures.after.table),
        _within("indexes", figures.fresh.indexes, figures.after.indexes),
        Promise(f"no statement longer than {plan.lock_timeout:g} s", f"{slowest:.3f} s", slowest <= plan.lock_timeout),
        Promise("nothing failed", _outcomes(figures), all(run.outcome != "failed" for run in figures.runs)),
    ]


def main() -> None:
    """Play it, then show a table, or with --json one object."""
    options = _options()
    plan = Plan(options.rows, options.clients, options.lock_timeout)
    try:
        figures = asyncio.run(_play(plan))
    except LamplighterError as error:
        sys.exit(f"Error: {error}")
    found = promises(plan, figures)
    if options.json:
        told = {name: value for name, value in figures._asdict().items() if name != "runs"}
        held = {promise.text: promise.held for promise in found}
        runs = [msgspec.to_builtins(run) for run in figures.runs]
        print(json.dumps({**plan._asdict(), **_builtins(told), "runs": runs, "held": held}))
    else:
        _show(plan, figures, found)
    sys.exit(not all(promise.held for promise in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=900_000, help="of the fresh table; 150 bytes each")
    parser.add_argument("--clients", type=int, default=4, help="of pgbench")
    parser.add_argument("--lock-timeout", type=float, default=0.5, help="in seconds")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _play(plan: Plan) -> Figures:
    with (
        tempfile.TemporaryDirectory() as folder,
        private_postgres() as server,
        progress() as step,
    ):
        return await play(plan, server.url, Path(folder), step)


def _within(what: str, fresh: int, after: int) -> Promise:
    return Promise(f"{what} within {ABOVE - 1:.0%} of fresh", f"{after / fresh - 1:+.1%}", after <= ABOVE * fresh)


def _outcomes(figures: Figures) -> str:
    return f"{sum(run.outcome == 'done' for run in figures.runs)} of {len(figures.runs)} done"


def _builtins(told: dict[str, object]) -> dict[str, object]:
    return {name: value._asdict() if isinstance(value, Sizes | Latency) else value for name, value in told.items()}


def _show(plan: Plan, figures: Figures, found: list[Promise]) -> None:
    print(
        f"{plan.rows:,} rows, bloated on purpose; {plan.clients} clients of pgbench; a lock timeout of "
        f"{plan.lock_timeout:g} s; upkeep took {figures.seconds:.0f} s\n"
    )
    print(f"{'MB':<12}{'fresh':>10}{'bloated':>10}{'after':>10}")
    for what in ("table", "indexes"):
        sizes = (getattr(one, what) / 1e6 for one in (figures.fresh, figures.bloated, figures.after))
        print(f"{what:<12}{''.join(f'{size:>10.1f}' for size in sizes)}")
    print(f"\n{'pgbench':<12}{'transactions':>14}{'99.9 %':>12}{'slowest':>12}")
    for name, one in (("alone", figures.before), ("with upkeep", figures.during)):
        print(f"{name:<12}{one.transactions:>14,}{one.p999:>10.3f} s{one.slowest:>10.3f} s")
    print(f"the slowest ended while upkeep was at: {figures.meanwhile}")
    for run in figures.runs:
        if run.outcome != "done":
            print(f"{run.outcome}: {run.task} of {run.subject}, {run.says}")
    print(f"\n{'promise':<40}{'figure':>16}   held")
    for promise in found:
        print(f"{promise.text:<40}{promise.figure:>16}   {'yes' if promise.held else 'NO'}")


if __name__ == "__main__":
    main()
