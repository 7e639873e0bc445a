"""Lamplighter as there is more of everything: backlog, history, tenants, worker processes, jobs due at one moment."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from bench.arguments import at_least_one
from bench.peers.environments import CannotRun
from bench.peers.rounds import machine
from bench.peers.stores import Stores, on_disk, stores
from bench.peers.subjects import STORES
from bench.scale import curves, points
from bench.scale.curves import PARTS, Curves, Point
from bench.scale.points import Figures, Size

from lamplighter.cli.progress import Step, progress
from lamplighter.core.errors import LamplighterError

MEASURES = {"backlog": points.backlog, "history": points.history, "tenants": points.tenants, "due": points.due}


def main() -> None:
    """Measure and print; with --docs, write it into the docs too."""
    options = _options()
    logging.getLogger("lamplighter").setLevel(logging.ERROR)  # Redis here keeps nothing on disk, as is meant
    try:
        if options.render:
            curves.render()
            return
        with progress() as step:
            places = list(_places(options.only or list(PARTS), options.store or list(STORES), options.largest))
            found = run(places, Size(few=options.jobs), step)
        if options.docs:
            curves.write(found)
    except (LamplighterError, CannotRun) as error:
        sys.exit(str(error))
    if options.json:
        options.json.write_bytes(msgspec.json.encode(found))
    print(curves.tables(found))


def run(places: list[tuple[str, str, int]], size: Size, step: Step) -> Curves:
    """All of these: part, store, place on the curve. Each in an empty place of its own."""
    found = []
    with stores() as servers:
        for done, (part, store, x) in enumerate(places):
            step(f"{store}: {x:,} {PARTS[part][0]}", done, len(places))
            found.append(Point(part, store, x, {**_measured(servers, part, store, x, size)}))
    return Curves(f"{datetime.now(UTC):%Y-%m-%d}", machine(), found)


def _measured(servers: Stores, part: str, store: str, x: int, size: Size) -> Figures:
    with on_disk() as folder, servers.empty(store, folder) as url:
        if part == "processes":
            return points.processes(url, store, x, size, folder)
        return asyncio.run(MEASURES[part](url, x, size))


def _places(parts: list[str], on: list[str], largest: int) -> Iterator[tuple[str, str, int]]:
    """The stores in turn at each place, so that a machine's drift falls on all of them."""
    for part in parts:
        for x in PARTS[part][1]:
            if x <= largest:
                yield from ((part, store, x) for store in on)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="may be repeated")
    parser.add_argument("--store", action="append", choices=list(STORES), help="may be repeated")
    parser.add_argument(
        "--largest", type=at_least_one, default=1_000_000, metavar="N", help="leave out what has more; 1,000,000"
    )
    parser.add_argument(
        "--jobs", type=at_least_one, default=Size().few, metavar="N", help=f"in each drain; {Size().few:,} by default"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--docs", action="store_true", help="write figures, tables and drawing into docs/; only of all")
    parser.add_argument("--render", action="store_true", help="measure nothing: write tables and drawing of docs/ anew")
    options = parser.parse_args()
    if options.docs and (options.only or options.store):
        parser.error("--docs is for figures of all: leave out --only and --store")
    return options


if __name__ == "__main__":
    main()
