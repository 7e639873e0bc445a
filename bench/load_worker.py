"""A worker that drains, in a process of its own: `python -m bench.load_worker STORE`."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from bench.filled_app import filled_app


async def main() -> None:
    """Work until SIGTERM."""
    app, _ = filled_app(sys.argv[1])
    async with app, app.worker() as worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        print("works", flush=True)
        await worker.stopped()


if __name__ == "__main__":
    uvloop.run(main())
