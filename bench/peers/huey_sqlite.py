"""Huey on SQLite: enqueue and drain no-op tasks, and print what that took as JSON. Usage: huey_sqlite.py FILE TASKS."""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import count

from huey import SqliteHuey

WORKERS = 8  # threads of the one consumer process; more are slower
SINGLES = 2000


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

    singles = min(SINGLES, tasks)
    started = time.perf_counter()
    for number in range(singles):
        noop(f"i-{number}", f"t-{number % 50}")
    one_by_one = singles / (time.perf_counter() - started)
    for number in range(singles, tasks):
        noop(f"i-{number}", f"t-{number % 50}")

    consumer = huey.create_consumer(workers=WORKERS, worker_type="thread", periodic=False)
    started = time.perf_counter()
    consumer.start()
    all_done.wait()
    drain = tasks / (time.perf_counter() - started)
    print(json.dumps({"one_by_one_per_s": one_by_one, "drain_per_s": drain}), flush=True)
    consumer.stop(graceful=False)


if __name__ == "__main__":
    main()
