"""Run as a program: a job of each kind logs in each way; what it prints is the ids, and on stderr are the lines."""

from __future__ import annotations

import asyncio
import json
import logging

import structlog

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.observe.log import set_up_logging

app = App("memory://", settings=Settings())
log = logging.getLogger("tests.jobs")


def say(ctx: Ctx[None]) -> None:
    log.info("logging")
    structlog.get_logger("tests.jobs").info("structlog", files=3)
    ctx.log.info("ctx.log", files=3)


@app.job()
async def on_loop(ctx: Ctx[None]) -> None:
    say(ctx)


@app.job()
def in_thread(ctx: Ctx[None]) -> None:
    say(ctx)


@app.job(process=True)
def in_process(ctx: Ctx[None]) -> None:
    say(ctx)


async def main() -> None:
    set_up_logging("info", "json", ("tests",))
    async with app, app.worker() as worker:
        ids = {"worker": worker.name}
        for job in (on_loop, in_thread, in_process):
            handle = await job.using(tenant="copper-bakery", queue="slow").enqueue()
            await handle.result(timeout=60)
            ids[job.name] = handle.id
    log.info("outside")
    print(json.dumps(ids))


if __name__ == "__main__":
    asyncio.run(main())
