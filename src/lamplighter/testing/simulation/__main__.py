"""`python -m lamplighter.testing.simulation`: many seeds, or one of them again and all that happened in it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from lamplighter.testing.simulation.run import Result, run

CASES = 3  # of each broken promise that are told


def main() -> int:
    """Ends with 1 if a promise was broken."""
    wanted = _arguments()
    if wanted.seed is not None:
        return _one(wanted.seed, trace=wanted.trace)
    return _many(range(wanted.first, wanted.first + wanted.seeds), wanted.processes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamplighter.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, metavar="N", help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every line of what happened")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many (default: 100)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="where to begin (default: 0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="default: all cores")
    return parser.parse_args()


def _one(seed: int, *, trace: bool) -> int:
    result = run(seed)
    print(f"seed {seed}: {result.weather}")
    for line in result.lines if trace else ():
        print(f"{line.at:9.3f} {line.who:9} {line.what:9} {line.job} {line.fence} {line.detail}")
    print(f"{result.jobs} jobs, {result.faults} faults, {result.rescues} rescues in {result.seconds:.0f} simulated s")
    print(f"digest {result.digest}")
    _tell_broken(result)
    return 1 if result.broken else 0


def _many(seeds: range, processes: int) -> int:
    began = time.monotonic()
    failed: list[int] = []
    simulated = 0.0
    with _bar(len(seeds)) as step, ProcessPoolExecutor(processes) as pool:
        for result in pool.map(run, seeds, chunksize=5):
            step()
            simulated += result.seconds
            if result.broken:
                failed.append(result.seed)
                _tell_broken(result)
    took = time.monotonic() - began
    print(f"{len(seeds):,} seeds, {simulated / 3600:.1f} simulated hours in {took:.1f} s: {len(failed)} failed.")
    return 1 if failed else 0


@contextmanager
def _bar(many: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console  # noqa: PLC0415 - one seed needs none
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task("seeds", total=many)
        yield lambda: bars.advance(task)


def _tell_broken(result: Result) -> None:
    for sentence in _sentences(result):
        print(sentence, flush=True)


def _sentences(result: Result) -> Iterable[str]:
    if not result.broken:
        return
    yield f"seed {result.seed} failed; repeat it with: python -m lamplighter.testing.simulation --seed {result.seed}"
    for name, cases in result.broken.items():
        yield from (f"  {name}: {case}" for case in cases[:CASES])
        if len(cases) > CASES:
            yield f"  {name}: and {len(cases) - CASES:,} more"


if __name__ == "__main__":
    sys.exit(main())
