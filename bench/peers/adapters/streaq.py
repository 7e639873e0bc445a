"""streaQ on Redis: one worker, results kept for five minutes, as they are by default."""

from __future__ import annotations

import logging

from bench.peers.adapters.protocol import Peer, at, began, serve
from streaq import Worker


class Streaq(Peer):
    package = "streaq"
    has_bulk = True

    async def open(self, url):
        logging.getLogger("streaq").setLevel(logging.ERROR)
        self.url = url
        self.worker = self._made(100)
        await self.worker.__aenter__()

    def _made(self, concurrency):
        worker = Worker(redis_url=self.url, concurrency=concurrency, handle_signals=False)

        @worker.task(name="noop", silent=True)
        async def noop(integration: str, tenant: str, sent: float) -> None:
            began(sent)

        self.noop = noop
        return worker

    async def enqueue(self, integration, tenant, sent, due=None):
        await self._task(integration, tenant, sent, due)

    async def bulk(self, jobs, due=None):
        await self.worker.enqueue_many([self._task(*job, due) for job in jobs])

    async def work(self, concurrency):
        await self._made(concurrency).run_async()

    def _task(self, integration, tenant, sent, due):
        task = self.noop.enqueue(integration, tenant, sent)
        return task if due is None else task.start(schedule=at(due))


if __name__ == "__main__":
    serve(Streaq())
