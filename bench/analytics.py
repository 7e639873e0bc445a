"""Very many events of tenants all over the world, some late, some told twice: rollups that are what they should be.

Two months in which clocks are set are taken, in any order, and added up; then all is worked out in another way, in
memory and by what clocks show, and compared window by window: counts exactly, quantiles within the sketch's bound.
Run it with `.venv/bin/python -m bench.analytics`. It ends with 1 if a window differs.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from bench.analytics_run import Told, run, settings_of, world

from lamplighter.cli.progress import progress
from lamplighter.families.analytics.sketch import ACCURACY

SHOWN = 10  # windows that differ


def main() -> int:
    """Run it, and say what came out."""
    asked = _asked()
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"sqlite:///{folder}/lamplighter.db"
        told = asyncio.run(_run(url, Path(folder), asked))
    _say(told)
    return 1 if _is_wrong(told) else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.analytics", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--events", type=int, default=1_000_000, metavar="N", help="how many, of both months together")
    parser.add_argument("--tenants", type=int, default=100, metavar="N", help="whose they are")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same one makes the same events")
    parser.add_argument("--url", metavar="URL", help="of an empty database, e.g. postgresql://…; else a SQLite file")
    return parser.parse_args()


async def _run(url: str, folder: Path, asked: argparse.Namespace) -> Told:
    with progress() as tell:
        async with world(settings_of(url, folder)) as ready:
            return await run(ready, asked.events, asked.tenants, asked.seed, tell)


def _is_wrong(told: Told) -> bool:
    return bool(told.compared.differing or told.overlapping or told.compared.worst > ACCURACY * 1.000001)


def _say(told: Told) -> None:
    print(f"events             {told.events:>12,}   told twice {told.repeated:,}, late {told.late:,}")
    print(f"windows compared   {told.compared.windows:>12,}")
    print(f"windows that differ {len(told.compared.differing):>11,}   overlapping {len(told.overlapping):,}")
    print(f"worst quantile     {told.compared.worst:>12.4%}   the bound is {ACCURACY:.0%}")
    print(f"taking             {told.events / told.taking:>12,.0f} events a second")
    print(f"adding up          {told.events / told.adding:>12,.0f} events a second")
    for line in [*told.compared.differing, *told.overlapping][:SHOWN]:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
