"""Reads under load: so many a second, of the API and the dashboard, with very many jobs and a worker that drains.

Each request is due at a moment of its own, and its time counts from then: a server that falls behind is not spared.
Run it with `.venv/bin/python -m bench.load`. It ends with 1 if the promise was not held.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import uvloop
from bench.filled_app import filled_app
from bench.filling import fill
from bench.plain_http import Http
from bench.store import HELP, store_of

from lamplighter.core.model import Where

HERE = Path(__file__).parent
LATEST = 0.1  # seconds, of 99 in 100 requests
API, PAGES = "/api/v1", "/admin/queues"
READS = {  # how often of a hundred
    f"{API}/queues/stats": 25,
    f"{API}/jobs?limit=50": 10,
    f"{API}/jobs?state=failed&limit=50": 10,
    f"{API}/jobs?tenant=tenant-7&limit=50": 5,
    f"{API}/jobs/ONE": 25,
    f"{API}/workers": 10,
    f"{API}/crons": 5,
    f"{PAGES}/": 3,
    f"{PAGES}/jobs": 4,
    f"{PAGES}/queues/queue-3": 3,
}


class Times:
    """How long requests took, by what was read."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[float]] = defaultdict(list)
        self.refused = 0

    @property
    def p99(self) -> float:
        """In seconds, of all."""
        return quantiles((one for some in self.of.values() for one in some), n=100)[98]


async def _measure(store: str, options: argparse.Namespace) -> Times:
    app, work = filled_app(store)
    began = time.perf_counter()
    async with app:
        await fill(app, work, options.jobs)
        ids = [one.id for one in await app.store.page(Where(), limit=500)]
    print(f"{options.jobs:,} jobs are in after {time.perf_counter() - began:.0f} s", file=sys.stderr)
    async with (
        _process("bench.load_server", store) as (_, port),
        _process("bench.load_worker", store),
        Http(int(port)) as http,
    ):
        await _load(http, Times(), ids, options.rate, 3)  # which does not count: everything is met for the first time
        times = Times()
        await _load(http, times, ids, options.rate, options.seconds)
    return times


async def _load(http: Http, times: Times, ids: list[str], rate: int, seconds: int) -> None:
    dice, loop = random.Random(1), asyncio.get_running_loop()
    paths = dice.choices(list(READS), weights=list(READS.values()), k=rate * seconds)
    start = loop.time() + 0.1
    async with asyncio.TaskGroup() as group:
        for number, path in enumerate(paths):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            group.create_task(_read(http, times, path, path.replace("ONE", dice.choice(ids)), due))


async def _read(http: Http, times: Times, path: str, address: str, due: float) -> None:
    status = await http.get(address)
    times.of[path].append(asyncio.get_running_loop().time() - due)
    times.refused += status != 200


@asynccontextmanager
async def _process(module: str, store: str) -> AsyncIterator[tuple[Process, str]]:
    """One that says when it is ready."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, store, stdout=PIPE, cwd=HERE.parent)
    try:
        assert process.stdout is not None
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


def _show(times: Times) -> None:
    print(f"{'read':<44}{'requests':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for path in READS:
        took = sorted(times.of[path])
        p50, p99 = took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]
        print(f"{path:<44}{len(took):>9,}{p50 * 1000:>9.1f}{p99 * 1000:>9.1f}{took[-1] * 1000:>9.1f}")
    print(f"\nall: p99 {times.p99 * 1000:.1f} ms, {times.refused} not answered with 200")


def main() -> None:
    """Fill, serve, drain, read; then show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--store", help=HELP)
    options = parser.parse_args()
    with store_of(options.store) as url:
        times = uvloop.run(_measure(url, options))
    _show(times)
    sys.exit(times.refused > 0 or times.p99 >= LATEST)


if __name__ == "__main__":
    main()
