"""Relays that are killed, again and again: no job is lost, and none is made twice."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from tests.integrations.support import Home

from lamplighter import App, Ctx
from lamplighter.core.config import Settings
from lamplighter.core.draft import Draft
from lamplighter.integrations.refreshing.fault import AFTER_RELAY, VARIABLE
from lamplighter.integrations.refreshing.outbox import Outbox, Waiting
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.storage.migrate import upgrade

JOBS, AT_ONCE = 1_200, 40
KILLS = 10
LEASE = 0.5  # seconds

RELAY = """
import asyncio, sys
from lamplighter import App
from lamplighter.core.config import Settings
from lamplighter.integrations.storage.database import Database
from lamplighter.integrations.refreshing.outbox import Outbox

async def main():
    app = App(sys.argv[1], settings=Settings())
    async with Database(sys.argv[2]) as database, app:
        async with Outbox(database, app, poll=0.01, lease=float(sys.argv[3])).relaying():
            print("relaying", flush=True)
            await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def start(store: str, database: str, fault: str) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RELAY, store, database, str(LEASE),
        stdin=PIPE, stdout=PIPE, env={**os.environ, VARIABLE: fault},
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"relaying\n"
    return process


async def test_however_often_relays_are_killed_each_job_is_made_once(home: Home, tmp_path: Path) -> None:
    dice = random.Random(7)
    store = f"sqlite:///{tmp_path}/jobs.db"
    app, ran = App(store, settings=Settings()), Counter[int]()

    @app.job()
    async def deliver(ctx: Ctx[None], number: int) -> None:
        ran[number] += 1

    async with Database(home.url) as database, app, app.worker() as worker:
        await upgrade(database)
        outbox = Outbox(database, app)

        async def write(first: int) -> None:
            drafts = [deliver.draft(number) for number in range(first, first + JOBS // KILLS)]
            for begin in range(0, len(drafts), AT_ONCE):
                await database.write(partial(enqueue, drafts[begin : begin + AT_ONCE]))

        def enqueue(drafts: Sequence[Draft[None]], connection: Connection) -> None:
            outbox.enqueue_within(connection, drafts)

        for kill in range(KILLS):
            at_the_worst_moment = kill % 2 == 0  # when they are added, and not yet deleted
            relay = await start(store, home.url, AFTER_RELAY if at_the_worst_moment else "")
            writing = asyncio.create_task(write(kill * JOBS // KILLS))
            if not at_the_worst_moment:
                await asyncio.sleep(dice.uniform(0, 0.1))
                relay.kill()
            assert await relay.wait() == -9
            await writing
        async with asyncio.timeout(60):
            relay = await start(store, home.url, "")
            while await outbox.waiting() != Waiting(0, 0):  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(0.01)
            await app.until_idle(worker)
            await relay.communicate(b"")  # it ends with its input
    assert ran == Counter(range(JOBS))
