"""Dramatiq on Redis: one worker with 8 threads, as many as its program gives a process; acknowledged after they ran."""

from __future__ import annotations

import threading
import time

import dramatiq
from bench.peers.adapters.protocol import Peer, began, serve
from dramatiq.brokers.redis import RedisBroker


class Dramatiq(Peer):
    package = "dramatiq"

    def open(self, url):
        self.broker = RedisBroker(url=url)
        dramatiq.set_broker(self.broker)

        @dramatiq.actor(actor_name="noop")
        def noop(integration, tenant, sent):
            began(sent)

        self.noop = noop

    def enqueue(self, integration, tenant, sent, due=None):
        delay = None if due is None else max(0, int((due - time.time()) * 1000))
        self.noop.send_with_options(args=(integration, tenant, sent), delay=delay)

    def work(self, concurrency):
        dramatiq.Worker(self.broker, worker_threads=8).start()
        threading.Event().wait()


if __name__ == "__main__":
    serve(Dramatiq())
