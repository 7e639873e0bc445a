"""RQ on Redis: a process for each job, as it is by default; with FORK=0 its SimpleWorker, which runs them itself."""

from __future__ import annotations

import os

from bench.peers.adapters.protocol import Peer, at, began, serve
from redis import Redis
from rq import Queue, SimpleWorker, Worker


def noop(integration, tenant, sent):
    """Found by its path, in the worker too."""
    began(sent)


class Rq(Peer):
    package = "rq"
    has_bulk = True

    def open(self, url):
        self.redis = Redis.from_url(url, socket_timeout=None)  # its reads block for longer than redis-py's 5 s
        self.queue = Queue("bench", connection=self.redis)

    def enqueue(self, integration, tenant, sent, due=None):
        if due is None:
            self.queue.enqueue(noop, integration, tenant, sent)
        else:
            self.queue.enqueue_at(at(due), noop, integration, tenant, sent)

    def bulk(self, jobs, due=None):
        if due is None:
            self.queue.enqueue_many([Queue.prepare_data(noop, args=job) for job in jobs])
        else:
            for job in jobs:
                self.enqueue(*job, due)

    def work(self, concurrency):
        kind = SimpleWorker if os.environ.get("FORK") == "0" else Worker
        kind([self.queue], connection=self.redis).work(with_scheduler=True, logging_level="ERROR")


if __name__ == "__main__":
    import bench.peers.adapters.rq as module  # jobs name their module, which must not be __main__

    serve(module.Rq())
