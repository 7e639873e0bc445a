"""Huey on SQLite: enqueue and drain no-op tasks, and print what that took as JSON. Usage: huey_sqlite.py FILE TASKS."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from huey import SqliteHuey

WORKERS = 8  # threads of the one consumer process, and of those that enqueue; more are slower
FEW = 2000  # tasks enqueued for a figure


def main() -> None:
    """WAL and synchronous=FULL (`fsync=True`), results kept: as Lamplighter is measured."""
    path, tasks = sys.argv[1], int(sys.argv[2])
    huey = SqliteHuey(filename=path, fsync=True, journal_mode="wal")
    all_done = threading.Event()
    done = count(1)

    @huey.task()
    def noop(_integration: str, _tenant: str) -> float:
        if next(done) == tasks:
            all_done.set()
        return time.time()

    def enqueue(number: int) -> None:
        noop(f"i-{number}", f"t-{number % 50}")

    def rate(run: Callable[[Callable[[int], None], range], Iterable[None]], numbers: range) -> float:
        started = time.perf_counter()
        deque(run(enqueue, numbers), maxlen=0)
        return len(numbers) / (time.perf_counter() - started)

    few = min(FEW, tasks // 2)
    one_by_one = rate(map, range(few))
    with ThreadPoolExecutor(WORKERS) as threads:
        side_by_side = rate(threads.map, range(few, 2 * few))
    rate(map, range(2 * few, tasks))

    consumer = huey.create_consumer(workers=WORKERS, worker_type="thread", periodic=False)
    started = time.perf_counter()
    consumer.start()
    all_done.wait()
    drain = tasks / (time.perf_counter() - started)
    print(
        json.dumps({"one_by_one_per_s": one_by_one, "side_by_side_per_s": side_by_side, "drain_per_s": drain}),
        flush=True,
    )
    consumer.stop(graceful=False)


if __name__ == "__main__":
    main()
