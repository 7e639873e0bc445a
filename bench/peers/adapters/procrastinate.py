"""Procrastinate on PostgreSQL: one worker; done jobs are kept, as they are by default."""

from __future__ import annotations

import logging

from bench.peers.adapters.protocol import Peer, at, began, serve
from procrastinate import App, PsycopgConnector


class Procrastinate(Peer):
    package = "procrastinate"
    has_bulk = True

    async def open(self, url):
        logging.getLogger("procrastinate").setLevel(logging.ERROR)
        self.app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=20))
        await self.app.open_async()
        if not await self.app.check_connection_async():  # which says whether its tables are there
            await self.app.schema_manager.apply_schema_async()

        @self.app.task(name="noop")
        async def noop(integration, tenant, sent):
            began(sent)

        self.noop = noop

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.noop.configure(schedule_at=at(due)).defer_async(integration=integration, tenant=tenant, sent=sent)

    async def bulk(self, jobs, due=None):
        arguments = [{"integration": job[0], "tenant": job[1], "sent": job[2]} for job in jobs]
        await self.noop.configure(schedule_at=at(due)).batch_defer_async(*arguments)

    async def work(self, concurrency):
        await self.app.run_worker_async(concurrency=concurrency, install_signal_handlers=False)


if __name__ == "__main__":
    serve(Procrastinate())
