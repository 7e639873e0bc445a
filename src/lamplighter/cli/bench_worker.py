"""The worker that `lamplighter bench` starts in a process of its own: `python -m lamplighter.cli.bench_worker URL`."""

from __future__ import annotations

import asyncio
import sys

from lamplighter.cli.measure import QUEUE, bench_app
from lamplighter.cli.opened import run_async
from lamplighter.cli.work import on_signals


async def _work(store: str) -> None:
    app = bench_app(store).app
    async with app, app.worker(queues=[QUEUE]) as worker:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), worker.stop)  # it closes when the bench is gone
        with on_signals(worker.stop):
            await worker.stopped()


if __name__ == "__main__":
    run_async(_work(sys.argv[1]))
