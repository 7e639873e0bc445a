"""Lamplighter beside its peers: the same jobs on the same servers, in turn, several rounds.

It prints the median of the rounds, and how many times better Lamplighter is, with the spread of that over the rounds.
Peers are installed into environments of their own, below bench/peers/environments, the first time: about a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.arguments import at_least_one
from bench.peers import page
from bench.peers.figures import written
from bench.peers.measuring import Plan
from bench.peers.rounds import run
from bench.peers.subjects import STORES, SUBJECTS, Subject

from lamplighter.cli.progress import progress
from lamplighter.core.errors import LamplighterError

KEYS = tuple(subject.key for subject in SUBJECTS)


def main() -> None:
    """Measure and print; with --docs, write it into the docs too."""
    options = _options()
    try:
        if options.render:
            page.render()
            return
        plan = Plan(jobs=options.jobs, seconds=options.seconds, concurrency=options.concurrency)
        with progress() as step:
            results = run(chosen(options.only, options.store), options.rounds, plan, step)
        if options.docs:
            page.write(results)
    except LamplighterError as error:
        sys.exit(str(error))
    if options.json:
        options.json.write_bytes(written(results))
    print(page.tables(results))


def chosen(only: Sequence[str], on: Sequence[str]) -> list[Subject]:
    """Those that were asked for, and of each store that they are on ours, which they are held against."""
    found = [one for one in SUBJECTS if (not only or one.key in only) and (not on or one.store in on)]
    held = {one.store for one in found}
    return [one for one in SUBJECTS if one in found or (one.ours and one.store in held)]


def _options() -> argparse.Namespace:
    defaults = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], choices=KEYS, metavar="WHO", help=f"may be repeated: {', '.join(KEYS)}"
    )
    parser.add_argument(
        "--store", action="append", default=[], choices=list(STORES), help="only who is on it; may be repeated"
    )
    parser.add_argument("--rounds", type=at_least_one, default=3, metavar="N", help="3 by default")
    parser.add_argument(
        "--jobs",
        type=at_least_one,
        default=defaults.jobs,
        metavar="N",
        help=f"in each part; {defaults.jobs:,}",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=defaults.seconds,
        metavar="S",
        help=f"that each part takes at most, so that the slow do not hold up the rest; {defaults.seconds:g} by default",
    )
    parser.add_argument(
        "--concurrency", type=at_least_one, default=defaults.concurrency, metavar="N", help="jobs at once, of who can"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds there")
    parser.add_argument("--docs", action="store_true", help="write figures, tables and drawing into docs/; only of all")
    parser.add_argument("--render", action="store_true", help="measure nothing: write tables and drawing of docs/ anew")
    options = parser.parse_args()
    if options.docs and (options.only or options.store):
        parser.error("--docs is for figures of all: leave out --only and --store")
    if not 1 <= options.seconds <= 600:
        parser.error("argument --seconds: give 1 to 600")
    return options


if __name__ == "__main__":
    main()
