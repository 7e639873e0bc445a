"""BullMQ for Python on Redis: one worker; the last thousand done jobs are kept, where by default all are for ever."""

from __future__ import annotations

import asyncio
import time

from bench.peers.adapters.protocol import Peer, began, serve
from bullmq import Queue, Worker

KEPT = {"removeOnComplete": {"count": 1000}}


async def noop(job, _token):
    """What is enqueued."""
    began(job.data["sent"])


class BullMq(Peer):
    package = "bullmq"
    has_bulk = True

    async def open(self, url):
        _, _, place = url.partition("//")
        host, _, port = place.partition("/")[0].partition(":")
        self.connection = {
            "host": host,
            "port": int(port),
            "socket_timeout": None,
        }  # its reads block for longer than 5 s
        self.queue = Queue("bench", {"connection": self.connection})

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.queue.add("noop", _data(integration, tenant, sent), _options(due))

    async def bulk(self, jobs, due=None):
        options = _options(due)
        await self.queue.addBulk([{"name": "noop", "data": _data(*job), "opts": options} for job in jobs])

    async def work(self, concurrency):
        self.worker = Worker("bench", noop, {"connection": self.connection, "concurrency": concurrency})
        await asyncio.Event().wait()


def _data(integration, tenant, sent):
    return {"integration": integration, "tenant": tenant, "sent": sent}


def _options(due):
    return KEPT if due is None else {**KEPT, "delay": max(0, round((due - time.time()) * 1000))}


if __name__ == "__main__":
    serve(BullMq())
