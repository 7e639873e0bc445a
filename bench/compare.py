"""Lamplighter beside its peers on the same disk, in turn, several rounds; prints medians and ratios with their spread.

Run it with `bench/compare`, which makes the environment of the peers first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHOWN = {
    "one_by_one_per_s": "enqueue one by one",
    "side_by_side_per_s": "enqueue side by side",  # from 50 tasks of ours, from 8 threads of Huey's
    "drain_per_s": "drain",
}

Figures = dict[str, float]


def main() -> None:
    """Measure, then show a table, or with --json one object."""
    options = _options()
    rounds = [_round(options, number) for number in range(1, options.rounds + 1)]
    ours, huey = ([figures[name] for figures in rounds] for name in ("lamplighter", "huey"))
    answer = {key: _compare([r[key] for r in ours], [r[key] for r in huey]) for key in SHOWN}
    if options.json:
        print(json.dumps({"jobs": options.jobs, "rounds": options.rounds, "synchronous": "full", **answer}))
        return
    print(f"{options.jobs:,} no-op jobs on SQLite (WAL, synchronous=FULL, results kept), {options.rounds} rounds\n")
    print(f"{'jobs/s, median':<22}{'Lamplighter':>12}{'Huey':>10}{'ratio':>8}   (least to most)")
    for key, label in SHOWN.items():
        row = answer[key]
        spread = f"({row['ratio_least']:.1f} to {row['ratio_most']:.1f})"
        print(f"{label:<22}{row['lamplighter']:>12,.0f}{row['huey']:>10,.0f}{row['ratio']:>7.1f}x   {spread}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=_at_least_one, default=10_000)
    parser.add_argument("--rounds", type=_at_least_one, default=5)
    parser.add_argument(
        "--concurrency", type=_at_least_one, default=100, help="Lamplighter's; Huey has 8 threads, its best"
    )
    parser.add_argument("--peers-python", default=str(HERE / ".venv/bin/python"))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return number


def _round(options: argparse.Namespace, number: int) -> dict[str, Figures]:
    """Both in turn; every other round the other one first, so that neither always finds the quieter machine."""
    measures = {"lamplighter": _lamplighter, "huey": _huey}
    names = sorted(measures, reverse=number % 2 == 0)
    figures = {}
    for name in names:
        print(f"round {number}: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=HERE) as folder:  # on the disk of the checkout: /tmp may be memory
            figures[name] = measures[name](options, Path(folder) / "jobs.db")
    return figures


def _lamplighter(options: argparse.Namespace, path: Path) -> Figures:
    command = [sys.executable, "-m", "lamplighter.cli.main", "bench", "--store", f"sqlite:///{path}?synchronous=full"]
    command += ["--jobs", str(options.jobs), "--concurrency", str(options.concurrency)]
    return _figures([*command, "--only", "enqueue", "--only", "drain", "--json"])


def _huey(options: argparse.Namespace, path: Path) -> Figures:
    tasks = options.jobs + 2 * min(options.jobs, 2000)  # as many in all as Lamplighter drains
    return _figures([options.peers_python, str(HERE / "peers/huey_sqlite.py"), str(path), str(tasks)])


def _figures(command: list[str]) -> Figures:
    ended = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, text=True, timeout=600
    )  # errors show as they are
    if ended.returncode:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}: what it says above tells why.")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return {key: float(answer[key]) for key in SHOWN}


def _compare(ours: list[float], theirs: list[float]) -> dict[str, float]:
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {
        "lamplighter": statistics.median(ours),
        "huey": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratio_least": min(ratios),
        "ratio_most": max(ratios),
    }


if __name__ == "__main__":
    main()
