"""A worker process for the tests that kill it. Usage: crash_worker.py URL EFFECTS LEASE_SECONDS

Each job appends its number to the file EFFECTS before it returns; a process that runs says so on its standard output.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from lamplighter import App, Ctx, Job
from lamplighter.core.config import Settings


class Jobs(NamedTuple):
    app: App[str]
    hang_in_process: Job[str, [str], None]
    append: Job[str, [int], None]
    hang_at_first: Job[str, [str], int]


async def hang_in_process(ctx: Ctx[str], folder: str) -> None:
    path = Path(folder, "pid")
    path.with_suffix(".tmp").write_text(str(os.getpid()))
    path.with_suffix(".tmp").rename(path)
    await asyncio.Event().wait()


def in_process(app: App[str]) -> Job[str, [str], None]:
    job: Job[str, [str], None] = app.job(process=True)(hang_in_process)
    return job


def make(url: str, effects: str) -> Jobs:
    app = App(url, deps=effects, settings=Settings())

    @app.job(max_crashes=100)  # what kills the worker here is the test, and it may hit one job often
    async def append(ctx: Ctx[str], n: int) -> None:
        await asyncio.sleep(0.1)  # so that there is something to be killed in the middle of
        file = os.open(ctx.deps, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{n}\n".encode())
        finally:
            os.close(file)

    @app.job()
    async def hang_at_first(ctx: Ctx[str], folder: str) -> int:
        if ctx.attempt == 1:
            open(f"{folder}/begun", "w").close()  # noqa: ASYNC230
            await asyncio.Event().wait()
        return ctx.attempt

    return Jobs(app, in_process(app), append, hang_at_first)


async def main(url: str, effects: str, lease: float) -> None:
    app = make(url, effects).app
    async with app, app.worker(concurrency=5, lease=timedelta(seconds=lease)) as worker:
        print("working", flush=True)
        await worker.stopped()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
