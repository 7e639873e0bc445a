"""PgQueuer on PostgreSQL, over asyncpg: batches of 100, with which it is faster than with its default of 10."""

from __future__ import annotations

import json
import logging
import time
from datetime import timedelta

import asyncpg
from bench.peers.adapters.protocol import Peer, began, serve
from pgqueuer import PgQueuer as App
from pgqueuer.queries import Queries

BATCH = 100


class PgQueuer(Peer):
    package = "pgqueuer"
    has_bulk = True

    async def open(self, url):
        logging.getLogger("pgqueuer").setLevel(logging.ERROR)
        self.pool = await asyncpg.create_pool(url, min_size=4, max_size=20)
        self.app = App.from_asyncpg_pool(self.pool)
        self.queries = Queries(self.app.connection)
        if not await self.queries.schema_is_installed():
            await self.queries.install()

        @self.app.entrypoint("noop")
        async def noop(job):
            began(json.loads(job.payload)[2])

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.queries.enqueue("noop", json.dumps((integration, tenant, sent)).encode(), 0, _after(due))

    async def bulk(self, jobs, due=None):
        count = len(jobs)
        bodies = [json.dumps(job).encode() for job in jobs]
        await self.queries.enqueue(["noop"] * count, bodies, [0] * count, [_after(due)] * count)

    async def work(self, concurrency):
        at_once = max(2 * BATCH, concurrency)  # it refuses less
        await self.app.run(batch_size=BATCH, max_concurrent_tasks=at_once, dequeue_timeout=timedelta(seconds=1))


def _after(due):
    return None if due is None else timedelta(seconds=max(0.0, due - time.time()))


if __name__ == "__main__":
    serve(PgQueuer())
