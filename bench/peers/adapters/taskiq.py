"""taskiq on a Redis stream, acknowledged after a task ran; results not kept, as they are by default."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from bench.peers.adapters.protocol import Peer, at, began, serve
from taskiq import TaskiqScheduler
from taskiq.api import run_receiver_task, run_scheduler_task
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker


class Taskiq(Peer):
    package = "taskiq"

    async def open(self, url):
        logging.getLogger("taskiq").setLevel(logging.ERROR)
        # Its reads block for longer than redis-py's 5 s. A stream is read from its start, not from when a worker came.
        self.broker = RedisStreamBroker(url, consumer_id="0", socket_timeout=None, maxlen=None)
        self.source = ListRedisScheduleSource(url, socket_timeout=None)

        @self.broker.task("noop")
        async def noop(integration: str, tenant: str, sent: float) -> None:
            began(sent)

        self.noop = noop
        await self.broker.startup()
        await self.source.startup()

    async def enqueue(self, integration, tenant, sent, due=None):
        if due is None:
            await self.noop.kiq(integration, tenant, sent)
        else:
            await self.noop.schedule_by_time(self.source, at(due), integration, tenant, sent)

    async def work(self, concurrency):
        scheduler = TaskiqScheduler(self.broker, [self.source])
        every = timedelta(seconds=1)
        await asyncio.gather(
            run_receiver_task(self.broker, max_async_tasks=concurrency, max_prefetch=concurrency),
            run_scheduler_task(scheduler, interval=every, loop_interval=every),
        )


if __name__ == "__main__":
    serve(Taskiq())
