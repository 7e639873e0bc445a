"""SAQ on Redis or PostgreSQL: one worker, results kept for ten minutes, as they are by default."""

from __future__ import annotations

from bench.peers.adapters.protocol import Peer, began, serve
from redis.asyncio import Redis
from saq import Queue, Worker
from saq.queue.redis import RedisQueue


async def noop(_ctx, *, integration, tenant, sent):
    """What is enqueued."""
    began(sent)


class Saq(Peer):
    package = "saq"

    async def open(self, url):
        if url.startswith("redis"):  # a connection for each job at once and more, where redis-py's pool ends at 100
            client = Redis.from_url(url, max_connections=1000, socket_timeout=None)
            self.queue = RedisQueue(client, name="bench")
        else:
            self.queue = Queue.from_url(url, name="bench")
        await self.queue.connect()

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.queue.enqueue("noop", integration=integration, tenant=tenant, sent=sent, scheduled=due or 0)

    async def work(self, concurrency):
        await Worker(self.queue, [noop], concurrency=concurrency).start()


if __name__ == "__main__":
    serve(Saq())
