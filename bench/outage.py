"""Integrations through an outage: 10,000 over four providers, one of which is down for a minute; prints what held.

Run it with `bench/outage`. It ends with 1 if a promise was not held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from bench.arguments import at_least_one
from bench.outage_run import Figures, Plan, play

from lamplighter.cli.progress import progress
from lamplighter.cli.stage import stage
from lamplighter.core.errors import LamplighterError
from lamplighter.testing.servers import private_postgres

HERE = Path(__file__).parent
LATEST = 2.0  # seconds
MOST_TURNED_AWAY = 1.0  # a second


class Promise(NamedTuple):
    """What is promised, what came of it, and whether that is enough."""

    text: str
    figure: str
    held: bool


def promises(figures: Figures) -> list[Promise]:
    """Each promise beside its figure."""
    before, during, after = figures.p99_lateness
    per_second = figures.turned_away_per_second
    return [
        Promise(
            "no token lapses outside the outage",
            f"{figures.lapsed} of {figures.refreshes:,} ({figures.excused} in it)",
            figures.lapsed == figures.missed == 0,
        ),
        Promise(
            "one request for each revoked grant",
            f"{figures.asked_once} of {figures.revoked}",
            figures.asked_once == figures.revoked,
        ),
        Promise(
            "one notification for each revoked grant",
            f"{figures.told_once} of {figures.revoked}",
            figures.told_once == figures.revoked,
        ),
        Promise(
            f"p99 lateness elsewhere below {LATEST:.0f} s",
            f"{before:.2f}, {during:.2f}, {after:.2f} s",
            max(figures.p99_lateness) < LATEST,
        ),
        Promise(
            f"below {MOST_TURNED_AWAY:.0f} request/s while down",
            f"{figures.turned_away}: {per_second:.2f}/s",
            per_second < MOST_TURNED_AWAY,
        ),
        Promise("no refresh token is spent twice", f"{figures.reuses}", figures.reuses == 0),
    ]


def main() -> None:
    """Play the scenario, then show a table, or with --json one object."""
    options = _options()
    logging.basicConfig(level=logging.ERROR)
    plan = Plan(options.integrations, options.lifetime, options.outage, options.workers)
    try:
        figures = asyncio.run(_play(plan, options.store))
    except LamplighterError as error:
        sys.exit(f"Error: {error}")
    found = promises(figures)
    if options.json:
        held = {promise.text: promise.held for promise in found}
        print(json.dumps({**plan._asdict(), **msgspec.to_builtins(figures), "held": held}))
    else:
        _show(plan, figures, found)
    sys.exit(not all(promise.held for promise in found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--integrations", type=at_least_one, default=10_000)
    parser.add_argument("--lifetime", type=at_least_one, default=120, help="of access tokens, in seconds")
    parser.add_argument("--outage", type=at_least_one, default=60, help="in seconds")
    parser.add_argument("--store", help="a URL, or postgresql for a server of its own; by default a temporary file")
    parser.add_argument("--workers", type=at_least_one, default=2, help="processes")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _play(plan: Plan, store: str | None) -> Figures:
    with (
        tempfile.TemporaryDirectory(dir=HERE) as folder,  # on the disk of the checkout: /tmp may be memory
        _url(store) as url,
        progress() as step,
    ):
        async with stage(url, Path(folder)) as place:
            return await play(plan, place, step)


@contextmanager
def _url(store: str | None) -> Iterator[str | None]:
    if store != "postgresql":
        yield store
        return
    with private_postgres() as server:
        yield server.url


def _show(plan: Plan, figures: Figures, found: list[Promise]) -> None:
    print(
        f"{plan.integrations:,} integrations, tokens of {plan.lifetime} s, one provider down for {plan.outage} s,\n"
        f"{figures.revoked} grants revoked, {plan.workers} workers of which each may ask each provider "
        f"{plan.max_per_second:g} times a second\n"
    )
    print(f"{'promise':<40}{'figure':>28}   held")
    for promise in found:
        print(f"{promise.text:<40}{promise.figure:>28}   {'yes' if promise.held else 'NO'}")
    print(f"\n{'before, during, after the outage':<40}{'refreshes begun, snoozed /s':>28}")
    for name, rates in (("begun", figures.started_per_second), ("snoozed", figures.snoozed_per_second)):
        print(f"{name:<40}{', '.join(f'{rate:,.0f}' for rate in rates):>28}")
    print(f"{'processor time of all workers':<40}{figures.cpu_per_second:>26.2f} s/s")


if __name__ == "__main__":
    main()
