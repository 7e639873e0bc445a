"""Celery on Redis: two processes, results not kept. With LATE=1 a task is acknowledged after it ran, not before."""

from __future__ import annotations

import os

from bench.peers.adapters.protocol import Peer, at, began, serve
from celery import Celery as App


class Celery(Peer):
    package = "celery"

    def open(self, url):
        self.app = App("bench", broker=url)
        self.app.conf.update(
            task_acks_late=os.environ.get("LATE") == "1",
            task_ignore_result=True,
            worker_prefetch_multiplier=4 if os.environ.get("LATE") == "1" else 64,  # as its guide says for short tasks
            worker_hijack_root_logger=False,
            broker_connection_retry_on_startup=True,
        )

        @self.app.task(name="noop")
        def noop(integration, tenant, sent):
            began(sent)

        self.noop = noop

    def enqueue(self, integration, tenant, sent, due=None):
        self.noop.apply_async((integration, tenant, sent), eta=at(due))

    def work(self, concurrency):
        options = ["--pool=prefork", "--concurrency=2", "--loglevel=ERROR"]
        self.app.worker_main(["worker", *options, "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    serve(Celery())
