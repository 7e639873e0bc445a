"""docket on Redis: one worker, and states kept for a quarter of an hour, as they are by default."""

from __future__ import annotations

import logging

from bench.peers.adapters.protocol import Peer, at, began, serve
from docket import Docket as App
from docket import Worker


async def noop(integration: str, tenant: str, sent: float) -> None:
    """What is enqueued."""
    began(sent)


class Docket(Peer):
    package = "pydocket"
    has_bulk = True

    async def open(self, url):
        logging.getLogger("docket").setLevel(logging.ERROR)
        self.docket = App(name="bench", url=url)
        await self.docket.__aenter__()
        self.docket.register(noop)

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.docket.add(noop, when=at(due))(integration, tenant, sent)

    async def bulk(self, jobs, due=None):
        await self.docket.add_many([self.docket.call(noop, when=at(due))(*job) for job in jobs])

    async def work(self, concurrency):
        async with Worker(self.docket, concurrency=concurrency) as worker:
            await worker.run_forever()


if __name__ == "__main__":
    serve(Docket())
