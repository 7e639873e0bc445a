"""Lamplighter itself, on any store: leases, fencing, results and retention as they are by default."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

from bench.peers.adapters.protocol import Peer, at, began, serve

from lamplighter import App
from lamplighter.cli.main import COLLECT_AFTER


class Lamplighter(Peer):
    package = "lamplighter"
    has_bulk = True

    async def open(self, url):
        gc.set_threshold(*COLLECT_AFTER)  # as `lamplighter work` does
        self.app = App(url)

        @self.app.job("noop", queue="bench", keep_done=timedelta(hours=1), timeout=30)
        async def noop(_ctx, integration, tenant, sent):
            began(sent)

        self.noop = noop
        await self.app.__aenter__()  # for as long as this process lives

    async def enqueue(self, integration, tenant, sent, due=None):
        await self.app.enqueue([self._noop(due).draft(integration, tenant, sent)])

    async def bulk(self, jobs, due=None):
        noop = self._noop(due)
        await self.app.enqueue(noop.draft(*job) for job in jobs)

    async def work(self, concurrency):
        async with self.app.worker(concurrency=concurrency):
            await asyncio.Event().wait()

    def _noop(self, due):
        return self.noop if due is None else self.noop.using(run_at=at(due))


if __name__ == "__main__":
    serve(Lamplighter())
