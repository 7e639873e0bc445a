"""Huey on Redis or SQLite: one consumer with 8 threads. `fsync=True` is SQLite's synchronous=FULL, in WAL mode."""

from __future__ import annotations

import threading

from bench.peers.adapters.protocol import Peer, at, began, serve
from huey import RedisHuey, SqliteHuey


class Huey(Peer):
    package = "huey"

    def open(self, url):
        if url.startswith("redis"):
            self.huey = RedisHuey("bench", url=url)
        else:
            path = url.removeprefix("sqlite:///").partition("?")[0]
            self.huey = SqliteHuey("bench", filename=path, fsync=True, journal_mode="wal")

        @self.huey.task(name="noop")
        def noop(integration, tenant, sent):
            began(sent)

        self.noop = noop

    def enqueue(self, integration, tenant, sent, due=None):
        if due is None:
            self.noop(integration, tenant, sent)
        else:
            self.noop.schedule((integration, tenant, sent), eta=at(due))

    def work(self, concurrency):
        consumer = self.huey.create_consumer(workers=8, worker_type="thread", periodic=False, scheduler_interval=1)
        consumer.start()
        threading.Event().wait()


if __name__ == "__main__":
    serve(Huey())
