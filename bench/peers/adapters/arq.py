"""arq on Redis: one worker, as many jobs at once as it is told; results kept for an hour, as they are by default."""

from __future__ import annotations

import asyncio

from arq import Worker, create_pool, func
from arq.connections import RedisSettings
from bench.peers.adapters.protocol import Peer, at, began, serve


async def noop(_ctx, integration, tenant, sent):
    """What is enqueued."""
    began(sent)


class Arq(Peer):
    package = "arq"

    async def open(self, url):
        self.settings = RedisSettings.from_dsn(url)
        self.pool = await create_pool(self.settings)

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.pool.enqueue_job("noop", integration, tenant, sent, _defer_until=at(due))

    async def work(self, concurrency):
        options = {"max_jobs": concurrency, "handle_signals": False}
        await Worker([func(noop, name="noop")], redis_settings=self.settings, **options).async_run()
        await asyncio.Event().wait()


if __name__ == "__main__":
    serve(Arq())
