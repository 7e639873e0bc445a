"""The demo in one piece: a world, an app with the token family, a worker, and a watch over all integrations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

from lamplighter.app import App
from lamplighter.core.config import Settings
from lamplighter.demo.settle import settle
from lamplighter.demo.watch import Change, Summary, Watch
from lamplighter.demo.world import running_world
from lamplighter.engine.worker import Worker
from lamplighter.families.tokens import TokenFamily

LOOK_EVERY = 0.5  # seconds
GRACE = timedelta(seconds=10)

Seen = Callable[[Watch, list[Change]], None]


class Show:
    """One run of the demo on the SQLite file of a URL."""

    def __init__(self, url: str, *, faults: bool = True) -> None:
        self._settings = Settings(store=url, grace=GRACE)
        self._faults = faults
        self.watch = Watch()

    async def run(self, seen: Seen, started: Callable[[Worker], object]) -> Summary:
        """Run until the worker is stopped; `started` is given it, `seen` hears of each look at the integrations."""
        app = App(settings=self._settings)
        tokens = TokenFamily(app)
        app.listen(self.watch.hear)
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(running_world(faults=self._faults))
            await stack.enter_async_context(app)
            connected = await settle(tokens.service, world.url)
            await tokens.plan(connected)
            worker = await stack.enter_async_context(app.worker())
            started(worker)
            while not worker.is_stopping:
                await self._look(tokens, seen)
                await worker.stopped(LOOK_EVERY)
            await self._look(tokens, seen)
        return self.watch.summary()

    async def _look(self, tokens: TokenFamily, seen: Seen) -> None:
        found = await tokens.service.integrations.page(limit=1000)
        seen(self.watch, self.watch.look(found))
